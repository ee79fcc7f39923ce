"""What a request brings to work on: files by kind, scripts in the text, the steps made so far."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from concilium.brain.references import ref
from concilium.brain.router.surface import Code, CodeLanguage, Surface, codes_in, marked
from concilium.brain.schemas import SkillIndex
from concilium.contracts.base import JSON
from concilium.contracts.parts import FileRef
from concilium.contracts.plan import PlanStep

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
_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
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
    steps: list[PlanStep] = field(default_factory=list)
    used_codes: set[int] = field(default_factory=set)
    """Codes accounted for: run, spoken, or set aside by the request itself."""
    batch: list[PlanStep] = field(default_factory=list)
    """The steps of the newest order to run something."""

    def __post_init__(self) -> None:
        self.used_codes.update(self.surface.quoted_codes)

    @property
    def images(self) -> list[int]:
        return [i for i, file in enumerate(self.files) if is_image(file)]

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

    def add(self, base: str, skill: str, data: dict[str, JSON]) -> PlanStep:
        """Append a step under a free name; the same work twice is one step."""
        for step in self.steps:
            if step.skill == skill and step.input == data:
                return step
        taken = {step.name for step in self.steps}
        name = next(n for n in (base, *(f"{base}{i}" for i in range(2, 100))) if n not in taken)
        step = PlanStep(name=name, agent=self.index.agent_of[skill], skill=skill, input=data)
        self.steps.append(step)
        return step

    def text_of(self, step: PlanStep) -> dict[str, JSON] | None:
        """Return the reference to the text a step gives, or None when it gives none."""
        properties = self.index.skills[step.skill].output.get("properties", {})
        name = next((n for n in _TEXT_OUTPUTS if properties.get(n, {}).get("type") == "string"), None)
        return None if name is None else ref(f"/steps/{step.name}/output/{name}")

    def last_text(self, skill: str | None = None) -> dict[str, JSON] | None:
        """Return the reference to the newest text, of any step or of the newest step of a skill."""
        for step in reversed(self.steps):
            found = self.text_of(step)
            if found is not None and skill in (None, step.skill):
                return found
        return None
