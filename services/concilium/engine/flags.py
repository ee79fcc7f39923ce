"""The flags that vLLM knows: an invented one must not get into a launch line.

They are asked of the installed vLLM, whatever its version; where none is installed they are those of the version that
the tests run, kept beside this file and written by ``scripts/vllm_env.py --flags``.
"""

import difflib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from concilium.contracts.base import Model
from concilium.contracts.errors import Invalid

SHIPPED = Path(__file__).with_name("vllm_flags.json")
ASKING_S = 300.0
"""vLLM imports PyTorch before it lists its flags."""
_ENTRY = re.compile(r"^ {1,4}(-{1,2}[a-z][\w-]*.*)$")
_NAME = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)")
_CHOICES = re.compile(r"\{([^{}]*)\}")
_VERSION = re.compile(r"\d+\.\d+[\w.+-]*")


class Flags(Model):
    """What one vLLM takes."""

    version: str
    flags: Mapping[str, tuple[str, ...]]
    """Names without dashes, with the values a flag may have; none are listed where it takes any."""

    def check(self, given: Mapping[str, Sequence[str]]) -> None:
        """Judge flags with their values. Raises `Invalid` naming every wrong one, and the nearest that exists."""
        wrong = [*self._unknown(given), *self._bad_values(given)]
        if wrong:
            raise Invalid(f"vLLM {self.version}: " + "; ".join(wrong))

    def _unknown(self, given: Mapping[str, Sequence[str]]) -> list[str]:
        found = []
        for name in (name for name in given if name not in self.flags):
            near = difflib.get_close_matches(name, self.flags, n=1)
            found.append(f"there is no flag --{name}" + (f"; the nearest is --{near[0]}" if near else ""))
        return found

    def _bad_values(self, given: Mapping[str, Sequence[str]]) -> list[str]:
        found = []
        for name, values in given.items():
            allowed = self.flags.get(name, ())
            bad = [value for value in values if allowed and value not in allowed]
            if bad:
                found.append(f"--{name} takes {', '.join(allowed)}, not {', '.join(bad)}")
        return found


def shipped() -> Flags:
    """Return the flags of the version that the tests run."""
    return Flags.model_validate_json(SHIPPED.read_bytes())


def known(program: Path | None = None) -> tuple[Flags, str]:
    """Return the flags of the vLLM that is installed, else the shipped ones, and a sentence that says which.

    Args:
        program: the command ``vllm``; None: the one on the path, if there is one.

    Raises:
        Invalid: a vLLM is there and does not tell its flags.
    """
    found = program or (Path(there) if (there := shutil.which("vllm")) else None)
    if found is None:
        flags = shipped()
        return flags, f"no vLLM is installed here: flags checked against the list kept of vLLM {flags.version}"
    flags = of_installed(found)
    return flags, f"flags checked against the installed vLLM {flags.version} ({found})"


def of_installed(program: Path) -> Flags:
    """Return the flags of an installed vLLM, as its own help lists them. Raises `Invalid` when it lists none."""
    said = _said(program, "serve", "--help=all")
    version = _VERSION.search(_said(program, "--version").strip().rpartition("\n")[2])
    flags = read_help(said)
    if version is None or "max-model-len" not in flags:
        raise Invalid(f"{program} does not list vLLM's flags")
    return Flags(version=version[0], flags=flags)


def read_help(text: str) -> dict[str, tuple[str, ...]]:
    """Return the flags in the text of ``vllm serve --help=all``, with the values each may have.

    An entry is ``  --name VALUE, -n VALUE`` or ``  --name {a,b}``; what explains it is indented further.
    """
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        entry = _ENTRY.match(line)
        if entry is None:
            continue
        choices = _CHOICES.search(entry[1])
        values = tuple(choice.strip() for choice in choices[1].split(",") if choice.strip()) if choices else ()
        found |= dict.fromkeys(_NAME.findall(entry[1]), values)
    return dict(sorted(found.items()))


def _said(program: Path, *arguments: str) -> str:
    environ = {**os.environ, "COLUMNS": "4000", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - the program is the owner's, the arguments are ours
            [str(program), *arguments],
            capture_output=True,
            text=True,
            timeout=ASKING_S,
            env=environ,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Invalid(f"{program} cannot be asked for its flags: {type(error).__name__}") from error
    if done.returncode:
        raise Invalid(f"{program} {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout
