"""What a request brings to work on: files by kind, scripts in the text, the steps made so far."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from concilium.brain.references import ref
from concilium.brain.router.surface import Code, CodeLanguage, Surface, codes_in, marked
from concilium.brain.schemas import SkillIndex
from concilium.contracts.base import JSON
from concilium.contracts.parts import FileRef
from concilium.contracts.plan import PlanStep

EXTRACT = "document.extract"
_SCRIPT_TYPES: dict[str, CodeLanguage] = {
    "text/x-python": "python",
    "text/x-script.python": "python",
    "application/x-python": "python",
    "application/x-python-code": "python",
    "application/x-sh": "shell",
    "application/x-shellscript": "shell",
    "text/x-sh": "shell",
    "text/x-shellscript": "shell",
}
_SCRIPT_ENDINGS: dict[str, CodeLanguage] = {".py": "python", ".sh": "shell", ".bash": "shell"}
_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
_HEARD_ENDINGS = (
    ".mp3",
    ".wav",
    ".ogg",
    ".oga",
    ".opus",
    ".flac",
    ".m4a",
    ".aac",
    ".mp4",
    ".m4v",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
)
_DOCUMENT_TYPES = (
    "application/pdf",
    "application/msword",
    "application/rtf",
    "application/vnd.ms-",
    "application/vnd.oasis.",
    "application/vnd.openxmlformats-officedocument.",
    "text/html",
    "text/rtf",
    "message/rfc822",
)
_DOCUMENT_ENDINGS = (
    *(".pdf", ".docx", ".docm", ".doc", ".xlsx", ".xlsm", ".xls", ".pptx", ".rtf", ".odt", ".ods", ".odp"),
    *(".html", ".htm", ".eml"),
)
_TEST_NAME = re.compile(r"(?:test_.*|.*_test|conftest)\.py")
_VAGUE = ("", "application/octet-stream")
_TEXT_OUTPUTS = ("text", "stdout", "answer", "result", "summary")


def script_language(file: FileRef) -> CodeLanguage | None:
    """Return the language of a file that is a script, else None."""
    if file.media_type in _SCRIPT_TYPES:
        return _SCRIPT_TYPES[file.media_type]
    if file.media_type.startswith(("image/", "audio/", "video/")):
        return None
    return next((lang for end, lang in _SCRIPT_ENDINGS.items() if file.name.lower().endswith(end)), None)


def is_image(file: FileRef) -> bool:
    """Whether a file is an image by its media type, or by its name when the type says nothing."""
    if file.media_type in _VAGUE:
        return file.name.lower().endswith(_IMAGE_ENDINGS)
    return file.media_type.startswith("image/")


def is_document(file: FileRef) -> bool:
    """Whether a file is a document whose text has to be got out of it first."""
    if file.media_type in _VAGUE:
        return file.name.lower().endswith(_DOCUMENT_ENDINGS)
    return file.media_type.startswith(_DOCUMENT_TYPES)


def may_be_scanned(file: FileRef) -> bool:
    """Whether pages of a document may be images without text."""
    return file.media_type == "application/pdf" or (file.media_type in _VAGUE and file.name.lower().endswith(".pdf"))


def is_test(file: FileRef) -> bool:
    """Whether a script's name says that it tests others."""
    return bool(_TEST_NAME.fullmatch(file.name.lower()))


def is_drawing(file: FileRef) -> bool:
    """Whether a file is an image made of text: a vector drawing, whose words stand in it as words."""
    return file.media_type.startswith("image/svg") or file.name.lower().endswith(".svg")


def is_readable(file: FileRef) -> bool:
    """Whether the document agent gets a file, to read it or to say why not: no picture, sound, film or script."""
    if is_drawing(file):
        return True
    if file.media_type in _VAGUE and file.name.lower().endswith(_HEARD_ENDINGS):
        return False
    seen_or_heard = file.media_type.startswith(("image/", "audio/", "video/"))
    return not seen_or_heard and not is_image(file) and script_language(file) is None


def _texts(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


@dataclass
class Material:
    """The request's literals and files, and the steps composed so far."""

    surface: Surface
    files: Sequence[FileRef]
    index: SkillIndex
    password: str = ""
    """The password the request names for its documents, else nothing."""
    steps: list[PlanStep] = field(default_factory=list)
    used_codes: set[int] = field(default_factory=set)
    """Codes accounted for: run, spoken, or set aside by the request itself."""
    batch: list[PlanStep] = field(default_factory=list)
    """The steps of the newest order to run something."""
    readings: dict[int, PlanStep] = field(default_factory=dict)
    """Of each file read so far, the step that gives its text."""

    pages: dict[int, str] = field(default_factory=dict)
    """Of each document read so far, the pages wanted; '' for all."""

    def __post_init__(self) -> None:
        self.used_codes.update(self.surface.quoted_codes)

    @property
    def images(self) -> list[int]:
        return [i for i, file in enumerate(self.files) if is_image(file)]

    @property
    def documents(self) -> list[int]:
        """Documents, when an agent of the catalog reads them."""
        known = EXTRACT in self.index.skills
        return [i for i, file in enumerate(self.files) if known and is_document(file)]

    @property
    def readable(self) -> list[int]:
        """Everything that may have text to read: images, and all that the document agent gets."""
        return sorted({*self.images, *self.extractable})

    @property
    def extractable(self) -> list[int]:
        """Files whose text the document agent gets, when it is in the catalog."""
        known = EXTRACT in self.index.skills
        return [i for i, file in enumerate(self.files) if known and is_readable(file)]

    @property
    def scripts(self) -> list[int]:
        return [i for i, file in enumerate(self.files) if script_language(file)]

    @property
    def others(self) -> list[int]:
        """Files that are neither image nor script."""
        return [i for i in range(len(self.files)) if i not in self.images and i not in self.scripts]

    def file(self, index: int) -> dict[str, JSON]:
        """Return the reference to a file of the request."""
        return ref(f"/request/files/{index}")

    def codes(self) -> list[tuple[int, Code]]:
        """Return the codes in the text that are not accounted for yet."""
        return [(i, code) for i, code in enumerate(self.surface.codes) if i not in self.used_codes]

    def literal(self, masked: str) -> str:
        """Return a masked piece as words, its codes among them accounted for."""
        self.used_codes.update(codes_in(masked))
        return self.surface.unmask(masked).strip()

    def left_out(self) -> Code | None:
        """Return a code that no step holds and nobody set aside, or None."""
        texts = [value for step in self.steps for value in step.input.values() if isinstance(value, str)]
        return next((code for _, code in self.codes() if not any(code.source in text for text in texts)), None)

    def has_marks(self) -> bool:
        """Whether a mark got into the input of a step."""
        return any(marked(text) for step in self.steps for text in _texts(step.input))

    def add(self, base: str, skill: str, data: dict[str, JSON], when: dict[str, JSON] | None = None) -> PlanStep:
        """Append a step under a free name; the same work twice is one step."""
        for step in self.steps:
            if step.skill == skill and step.input == data:
                return step
        taken = {step.name for step in self.steps}
        name = next(n for n in (base, *(f"{base}{i}" for i in range(2, 100))) if n not in taken)
        step = PlanStep(name=name, agent=self.index.agent_of[skill], skill=skill, input=data, when=when)
        self.steps.append(step)
        return step

    def text_of(self, step: PlanStep) -> dict[str, JSON] | None:
        """Return the reference to the text a step gives, or None when it gives none."""
        properties = self.index.skills[step.skill].output.get("properties", {})
        name = next((n for n in _TEXT_OUTPUTS if properties.get(n, {}).get("type") == "string"), None)
        return None if name is None else ref(f"/steps/{step.name}/output/{name}")

    def last_text(self) -> dict[str, JSON] | None:
        """Return the reference to the newest text."""
        return next((found for step in reversed(self.steps) if (found := self.text_of(step)) is not None), None)

    def last_reading(self) -> dict[str, JSON] | None:
        """Return the reference to the text of the file read last."""
        newest = max(self.readings.values(), key=self.steps.index, default=None)
        return None if newest is None else self.text_of(newest)
