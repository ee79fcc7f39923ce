"""Which files of this Python's installed distributions a pinned list means: pins checked, dependencies followed."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

_PIN = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==([A-Za-z0-9][A-Za-z0-9._+!-]*)")
_SKIPPED_SUFFIXES = {".pyc", ".pth"}


class PackagesError(Exception):
    """The list cannot be had here. The text is a sentence for the operator and ends with what to do."""


@dataclass(frozen=True)
class Python:
    """The interpreter that is to import the packages."""

    path: str
    tag: str
    """Its cache tag, as in ``cpython-311``: compiled modules fit no other."""
    version: str
    """As in ``3.11.2``."""


@dataclass(frozen=True)
class Source:
    """One file to show: where it is installed, where it goes, its SHA-256 as the wheel states it (base64, unpadded)."""

    path: Path
    target: str
    digest: str

    def read(self) -> bytes:
        """Return the content. Raises `PackagesError` when it is not what the wheel brought."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise PackagesError(f"{self.path} cannot be read ({error.strerror}); install its package again") from error
        found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        if found != self.digest:
            raise PackagesError(f"{self.path} is not as its wheel brought it; install its package again")
        return content


def pinned(pins: Iterable[str]) -> dict[str, str]:
    """Return name and version of each ``name==version``. Raises `PackagesError` for anything else."""
    found: dict[str, str] = {}
    for pin in pins:
        match = _PIN.fullmatch(pin)
        if not match:
            raise PackagesError(f"settings.packages: '{pin}' is no pin; write name==version")
        name = _normal(match[1])
        if found.setdefault(name, match[2]) != match[2]:
            raise PackagesError(f"settings.packages pins {name} twice; keep one")
    return found


def resolve(pins: Mapping[str, str], python: Python) -> list[Distribution]:
    """Return the pinned distributions and all they depend on, by name.

    Raises:
        PackagesError: one is missing, has another version, or does not fit ``python``.
    """
    found: dict[str, Distribution] = {}
    waiting = list(pins)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = _installed(name, pins)
            _check_fits(found[name], python)
            waiting += _dependencies(found[name], python)
    return [found[name] for name in sorted(found)]


def sources(found: Distribution) -> Iterator[Source]:
    """Yield a distribution's files: modules and data at their places, programs under ``bin/``.

    Left out: byte code, ``.pth`` files, and starters that are Python text (they name the agent's own Python).
    """
    for file in found.files or ():
        if file.suffix in _SKIPPED_SUFFIXES or file.hash is None or file.hash.mode != "sha256":
            continue
        path = Path(str(found.locate_file(file)))
        if ".." not in file.parts:
            yield Source(path, file.as_posix(), file.hash.value)
        elif file.parts[-2] == "bin" and not _is_text_starter(path):
            yield Source(path, f"bin/{file.name}", file.hash.value)


def label(found: Distribution) -> str:
    """Return ``name==version``."""
    return f"{_normal(found.name)}=={found.version}"


def _installed(name: str, pins: Mapping[str, str]) -> Distribution:
    version = pins.get(name)
    wanted = f"{name}=={version}" if version else name
    advice = f"install it beside Concilium: pip install '{wanted}' (or all the code agent needs: 'concilium[code]')"
    try:
        found = distribution(name)
    except PackageNotFoundError as error:
        raise PackagesError(f"the package {wanted} is not installed; {advice}") from error
    if version and found.version != version:
        raise PackagesError(f"{name} is installed as {found.version}, but settings.packages pins {version}; {advice}")
    if found.files is None or _is_editable(found):
        raise PackagesError(f"{name} was not installed from a wheel, so its files are not known; {advice}")
    return found


def _is_editable(found: Distribution) -> bool:
    try:
        return bool(json.loads(found.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return False


def _check_fits(found: Distribution, python: Python) -> None:
    """Raise `PackagesError` unless the sandbox's Python can import what is installed for this one."""
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - of the agent's own extra

    what, where = label(found), f"the sandbox's Python is {python.version} ({python.path})"
    needs = str(found.metadata.json.get("requires_python", ""))
    if needs and python.version not in SpecifierSet(needs):
        raise PackagesError(f"{what} needs Python {needs}, and {where}; take it out of settings.packages")
    wheel = found.read_text("WHEEL") or ""
    tags = re.findall(r"^Tag: *([^-\s]+)-([^-\s]+)-", wheel, re.MULTILINE)
    if not any(_abi_fits(interpreter, abi, python) for interpreter, abi in tags):
        raise PackagesError(f"{what} is built for another Python, and {where}; take it out of settings.packages")


def _abi_fits(interpreter: str, abi: str, python: Python) -> bool:
    """Whether a wheel of that tag serves: free of an ABI, of the stable ABI, or of this very one."""
    if abi == "none":
        return interpreter.startswith("py3") or interpreter in {"py2.py3", python.tag.replace("cpython-", "cp")}
    return python.tag.startswith("cpython-") and (
        abi == "abi3" or "abi3" in abi.split(".") or abi == python.tag.replace("cpython-", "cp")
    )


def _dependencies(found: Distribution, python: Python) -> list[str]:
    from packaging.requirements import Requirement  # noqa: PLC0415 - of the agent's own extra

    minor = ".".join(python.version.split(".")[:2])
    target = {"python_version": minor, "python_full_version": python.version, "extra": ""}
    requirements = map(Requirement, found.requires or ())
    return [_normal(r.name) for r in requirements if r.marker is None or r.marker.evaluate(target)]


def _is_text_starter(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True


def _normal(name: str) -> str:
    """Return the name as PyPI compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
