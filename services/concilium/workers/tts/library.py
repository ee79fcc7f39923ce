"""Where the speech library is. Finding it loads nothing: espeak-ng (GPL) runs only in the child process."""

import ctypes.util
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

GET_ENGINE = "pip install espeakng-loader, or apt-get install -y libespeak-ng1"


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library, the folder of its voices (empty: its own default), and where it comes from."""

    path: str
    data: str
    origin: str


@cache
def find_library() -> Library | None:
    """Return the wheel's library, else the system's, else None."""
    return wheel_library() or system_library()


def wheel_library() -> Library | None:
    """Return the library of the wheel ``espeakng-loader``, which carries its voices."""
    spec = find_spec("espeakng_loader")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    found = sorted(folder.glob("*espeak-ng*.so*")) + sorted(folder.glob("*espeak-ng*.dylib"))
    data = folder / "espeak-ng-data"
    return Library(str(found[0]), str(data), "the wheel espeakng-loader") if found and data.is_dir() else None


def system_library() -> Library | None:
    """Return the system's library, which knows where its voices are."""
    name = ctypes.util.find_library("espeak-ng")
    return Library(name, "", f"the system's {name}") if name else None
