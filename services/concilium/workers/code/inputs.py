"""From a skill's input to files of the sandbox: names checked, bytes looked up."""

from collections.abc import Iterable

from concilium.contracts.base import JSON
from concilium.workers.code.sandbox.job import File
from concilium.workers.runtime.skill import SkillContext, SkillFailed

_NAME_BYTES = 255


def plain_name(name: str) -> str:
    """Return the name. Raises `SkillFailed` ``invalid`` unless it is a plain file name."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name or len(encoded(name)) > _NAME_BYTES:
        raise SkillFailed("invalid", f"'{name[:80]}' is not a file name that can be used in the sandbox.")
    return name


def given(ctx: SkillContext, refs: Iterable[JSON]) -> tuple[File, ...]:
    """Return the files that an input mentions. Raises `SkillFailed` ``invalid``."""
    return tuple(File(plain_name(ref["name"]), ctx.files[ref["sha256"]]) for ref in refs)


def check_apart(files: Iterable[File]) -> None:
    """Raise `SkillFailed` ``invalid`` when two files have one name."""
    seen: set[str] = set()
    for file in files:
        if file.name in seen:
            raise SkillFailed("invalid", f"Two of the files are named '{file.name[:80]}'; rename one.")
        seen.add(file.name)


def encoded(text: str) -> bytes:
    """Return text as UTF-8; a lone surrogate, which JSON can hold, becomes a question mark."""
    return text.encode("utf-8", "replace")
