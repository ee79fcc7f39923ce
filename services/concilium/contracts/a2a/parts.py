"""Parts and artifacts on A2A's wire.

A file is a raw part with ``filename``, ``media_type`` and ``metadata.sha256``, which ties it to the `FileRef`s that
data parts mention.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from a2a.types import a2a_pb2 as pb

from concilium.contracts import limits
from concilium.contracts.a2a.values import from_value, to_value
from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid, TooLarge
from concilium.contracts.parts import Artifact, DataPart, FilePart, FileRef, Part, TextPart

SHA256 = "sha256"
"""The member of a file part's metadata that holds the hash of its bytes."""

DEFAULT_MEDIA_TYPE = "application/octet-stream"
LinkTo = Callable[[FileRef], str]
"""Gives the URL of a file whose bytes do not travel inline."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a list of parts says: text, data and files, each in order."""

    texts: tuple[str, ...]
    data: tuple[JSON, ...]
    files: tuple[tuple[FileRef, bytes], ...]

    @property
    def text(self) -> str:
        """All text, one paragraph a part."""
        return "\n\n".join(self.texts)

    @property
    def bytes_by_sha256(self) -> dict[str, bytes]:
        """The files' bytes by content."""
        return {ref.sha256: data for ref, data in self.files}


def text_part(text: str) -> pb.Part:
    """Return a text part; a lone surrogate, which UTF-8 cannot hold, becomes a question mark."""
    return pb.Part(text=text.encode(errors="replace").decode(), media_type="text/plain")


def data_part(data: JSON) -> pb.Part:
    """Return a data part."""
    part = pb.Part(media_type="application/json")
    to_value(data, part.data)
    return part


def file_part(ref: FileRef, data: bytes) -> pb.Part:
    """Return a file with its bytes."""
    part = pb.Part(raw=data, filename=ref.name, media_type=ref.media_type)
    part.metadata.fields[SHA256].string_value = ref.sha256
    return part


def link_part(ref: FileRef, url: str) -> pb.Part:
    """Return a file by its URL."""
    part = pb.Part(url=url, filename=ref.name, media_type=ref.media_type)
    part.metadata.fields[SHA256].string_value = ref.sha256
    part.metadata.fields["size"].number_value = ref.size
    return part


def file_ref(name: str, media_type: str, data: bytes) -> FileRef:
    """Return the reference of these bytes; a name no file system accepts is made harmless."""
    name = name.encode(errors="replace").decode()
    safe = "".join("_" if char in "/\\" or ord(char) < 0x20 else char for char in name)[-255:]
    media = media_type[:255] or DEFAULT_MEDIA_TYPE
    return FileRef(sha256=hashlib.sha256(data).hexdigest(), name=safe or "file", media_type=media, size=len(data))


def read_parts(parts: Iterable[pb.Part]) -> Content:
    """Return what parts say, files verified.

    Raises:
        TooLarge: more parts than `limits.MESSAGE_PARTS`.
        Invalid: a file's bytes do not match its stated hash, a part is a URL (never fetched) or is empty.
    """
    texts: list[str] = []
    data: list[JSON] = []
    files: list[tuple[FileRef, bytes]] = []
    for count, part in enumerate(parts, start=1):
        if count > limits.MESSAGE_PARTS:
            raise TooLarge(f"a message has at most {limits.MESSAGE_PARTS} parts")
        match part.WhichOneof("content"):
            case "text":
                texts.append(part.text)
            case "data":
                data.append(from_value(part.data))
            case "raw":
                files.append(_read_file(part))
            case "url":
                raise Invalid("a file by URL is never fetched; send its bytes in a raw part")
            case _:
                raise Invalid("a part has no content")
    return Content(tuple(texts), tuple(data), tuple(files))


def _read_file(part: pb.Part) -> tuple[FileRef, bytes]:
    ref = file_ref(part.filename or "file", part.media_type, part.raw)
    stated = part.metadata.fields[SHA256].string_value if SHA256 in part.metadata.fields else ""
    if stated and stated != ref.sha256:
        raise Invalid(f"file '{ref.name}' does not match its stated sha256 {stated}")
    return ref, part.raw


def part_to_wire(part: Part, inline: Mapping[str, bytes], link_to: LinkTo) -> pb.Part:
    """Return our part on the wire; a file whose bytes are not in ``inline`` becomes a link."""
    match part:
        case TextPart():
            return text_part(part.text)
        case DataPart():
            return data_part(part.data)
        case FilePart():
            data = inline.get(part.file.sha256)
            return link_part(part.file, link_to(part.file)) if data is None else file_part(part.file, data)


def artifact_to_wire(artifact_id: str, artifact: Artifact, inline: Mapping[str, bytes], link_to: LinkTo) -> pb.Artifact:
    """Return our artifact on the wire."""
    parts = [part_to_wire(part, inline, link_to) for part in artifact.parts]
    return pb.Artifact(artifact_id=artifact_id, name=artifact.name, description=artifact.description, parts=parts)


def artifact_from_wire(artifact: pb.Artifact) -> tuple[Artifact, dict[str, bytes]]:
    """Return an artifact with raw files as ours, and its files' bytes by hash. Raises as `read_parts`."""
    ours: list[Part] = []
    inline: dict[str, bytes] = {}
    for part in artifact.parts:
        content = read_parts((part,))
        ours.extend(TextPart(text=text) for text in content.texts)
        ours.extend(DataPart(data=data) for data in content.data)
        ours.extend(FilePart(file=ref) for ref, _ in content.files)
        inline |= content.bytes_by_sha256
    name = artifact.name or artifact.artifact_id or "artifact"
    return Artifact(name=name[:255], description=artifact.description, parts=tuple(ours)), inline
