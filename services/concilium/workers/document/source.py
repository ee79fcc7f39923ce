"""What a reader is given: the file and what is wanted of it."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from concilium.workers.document import limits


class Wanted(BaseModel):
    """What is asked of a document."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    media_type: str = ""
    """What the sender calls it; only a hint."""
    pages: str = ""
    """As in `page_numbers.selected`."""
    password: str | None = None
    tables: Literal["auto", "always", "never"] = "auto"
    page_images: bool = False
    """Images of all pages wanted, beside those that need recognition."""
    cpu_s: int = limits.CPU_S


@dataclass(frozen=True, slots=True)
class Source:
    """A file and what is wanted of it."""

    data: bytes
    wanted: Wanted
