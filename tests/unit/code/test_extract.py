"""Which source is taken from an engine's answer, whatever it looks like."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concilium.workers.code.extract import SOURCE_CHARS, source_in

CODE = "def f():\n    return 1"


@pytest.mark.parametrize(
    "answer",
    [
        f"```python\n{CODE}\n```",
        f"```py\n{CODE}\n```",
        f"```Python3\n{CODE}\n```",
        f"```python title=solution.py\n{CODE}\n```",
        f"``` python\n{CODE}\n```",
        f"```\n{CODE}\n```",
        f"~~~python\n{CODE}\n~~~",
        f"````python\n{CODE}\n````",
        f"Sure!\n\n```python\n{CODE}\n```\nIt returns one.",
        f"```python\r\n{CODE}\r\n```\r\n".replace("\n    ", "\r\n    "),
        f"```python\n{CODE}",
        f"  ```python\n  {CODE.replace(chr(10), chr(10) + '  ')}\n  ```",
        f"<think>\n```python\nwrong = 1\n```\n</think>\n```python\n{CODE}\n```",
        f"```bash\npip install something-quite-long-named-here\n```\n```python\n{CODE}\n```",
        f"```python\n{CODE}\n```\nUse it:\n```python\nf()\n```",
        f"```json\n{{}}\n```\n```\n{CODE}\n```",
        CODE,
        f"\n\n{CODE}\n\n",
    ],
)
def test_the_module_is_found(answer: str) -> None:
    assert source_in(answer) == CODE + "\n"


def test_a_fence_inside_a_longer_fence_is_part_of_the_source() -> None:
    inner = 'TEXT = """\n```python\nx\n```\n"""'
    assert source_in(f"````python\n{inner}\n````") == inner + "\n"


def test_a_labelled_fence_inside_a_block_does_not_close_it() -> None:
    inner = 'TEXT = """\n```js\n"""\nx = 1'
    assert source_in(f"```python\n{inner}\n```") == inner + "\n"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "  \n",
        "```python\n```",
        "```python\n   \n```",
        "```json\n{}\n```",
        "<think>only thoughts",
        "```bash\nls\n```",
    ],
)
def test_an_answer_without_source_gives_none(answer: str) -> None:
    assert source_in(answer) == ""


def test_a_source_beyond_the_limit_is_none() -> None:
    assert source_in("```python\n" + "x" * (SOURCE_CHARS + 1) + "\n```") == ""


def test_what_no_file_could_hold_is_replaced() -> None:
    assert source_in("```python\nx = '\0\udc80'\n```") == "x = '\ufffd?'\n"


@given(st.text(alphabet="`~ \n\tpython<think>/x", max_size=400))
@settings(max_examples=300)
def test_any_answer_gives_text_that_can_be_stored(answer: str) -> None:
    found = source_in(answer)
    assert found == "" or (found.endswith("\n") and found.strip() and found.encode())


def test_a_long_hostile_answer_takes_no_time() -> None:
    for piece in ("```\n", "`" * 50_000, "<think>" * 20_000, "```python\n~~~\n", " " * 100_000):
        source_in(piece * (400_000 // len(piece)))
