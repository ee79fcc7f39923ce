"""The files that a JSON value mentions."""

from collections.abc import Iterator

from pydantic import ValidationError

from concilium.contracts.base import JSON
from concilium.contracts.parts import Artifact, FilePart, FileRef

_MEMBERS = {"sha256", "name", "media_type", "size"}


def files_in(value: JSON) -> tuple[FileRef, ...]:
    """Return every `FileRef` object inside a JSON value, each digest once, in the order of appearance."""
    return tuple({file.sha256: file for file in _walk(value)}.values())


def files_of(artifacts: tuple[Artifact, ...]) -> tuple[FileRef, ...]:
    """Return the files of artifacts, those inside data parts too."""
    found: dict[str, FileRef] = {}
    for artifact in artifacts:
        for part in artifact.parts:
            inside = (part.file,) if isinstance(part, FilePart) else files_in(getattr(part, "data", None))
            found.update((file.sha256, file) for file in inside)
    return tuple(found.values())


def _walk(value: JSON) -> Iterator[FileRef]:
    if isinstance(value, dict):
        if value.keys() == _MEMBERS:
            try:
                yield FileRef.model_validate(value)
            except ValidationError:
                return  # looks like a file but is not one: plain data
        else:
            for inner in value.values():
                yield from _walk(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _walk(inner)
