"""Parts: what messages, inputs and artifacts are made of."""

from typing import Annotated, Literal

from pydantic import Field

from concilium.contracts.base import JSON, Model

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileRef(Model):
    """A file by content: its bytes are a blob under their SHA-256."""

    sha256: Sha256
    name: str = Field(min_length=1, max_length=255, pattern=r"^[^/\\\x00-\x1f]+$")
    media_type: str = Field(default="application/octet-stream", max_length=255)
    size: int = Field(ge=0)
    """Bytes."""


class TextPart(Model):
    kind: Literal["text"] = "text"
    text: str


class DataPart(Model):
    kind: Literal["data"] = "data"
    data: JSON


class FilePart(Model):
    kind: Literal["file"] = "file"
    file: FileRef


Part = Annotated[TextPart | DataPart | FilePart, Field(discriminator="kind")]


class Artifact(Model):
    """Something an agent made. It exists only through a committed completion."""

    name: str = Field(min_length=1, max_length=255)
    description: str = ""
    parts: tuple[Part, ...]
