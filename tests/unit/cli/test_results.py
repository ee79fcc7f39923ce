"""Names of files come from agents; none leaves the folder."""

from hypothesis import given
from hypothesis import strategies as st

from concilium.cli.results import safe_name, unique_name


@given(st.text(max_size=400))
def test_a_safe_name_is_one_visible_file_name(name: str) -> None:
    made = safe_name(name)
    assert made
    assert made not in {".", ".."}
    assert not made.startswith(".")
    assert not set(made) & {"/", "\\", "\0", "\n"}
    assert len(made) <= 140
    assert safe_name(made) == made.strip()


def test_paths_and_hidden_names_lose_what_is_dangerous() -> None:
    assert safe_name("../../etc/passwd") == "passwd"
    assert safe_name("C:\\temp\\report.pdf") == "report.pdf"
    assert safe_name(".bashrc") == "bashrc"
    assert safe_name("..") == "file"
    assert safe_name("evil\u202egpj.exe") == "evilgpj.exe"
    assert safe_name("счёт за март.png") == "счёт за март.png"


def test_equal_names_are_numbered_whatever_their_case() -> None:
    used: set[str] = set()
    assert [unique_name(n, used) for n in ("a.txt", "A.txt", "a.txt", "a")] == ["a.txt", "A-2.txt", "a-3.txt", "a"]
