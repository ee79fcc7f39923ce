"""Which readers are here, for ``concilium doctor``."""

import shutil
import subprocess

from concilium.workers.runtime.engines import EngineReport
from concilium.workers.vision import rapid
from concilium.workers.vision.page import GET_RUSSIAN
from concilium.workers.vision.tesseract import LIST_TIMEOUT_S


def describe_engines() -> list[EngineReport]:
    """Return the readers; a tesseract that does not answer counts as absent. Blocking, for a command line."""
    bundled = rapid.present()
    advice = "" if bundled else "pip install 'concilium[vision]'"
    return [
        EngineReport("rapidocr", bundled, "reads Latin script" if bundled else "is not installed", advice),
        _tesseract(),
    ]


def _tesseract() -> EngineReport:
    program = shutil.which("tesseract")
    if program is None:
        return EngineReport("tesseract", False, "is not installed: Russian images are refused", GET_RUSSIAN)
    try:
        command = (program, "--list-langs")
        out = subprocess.run(command, capture_output=True, timeout=LIST_TIMEOUT_S, check=True).stdout  # noqa: S603 - fixed words
    except (subprocess.SubprocessError, OSError):
        return EngineReport("tesseract", False, f"{program} does not answer", GET_RUSSIAN)
    known = sorted(set(out.decode(errors="replace").splitlines()[1:]) - {"osd"})
    russian = "rus" in known
    found = f"reads {', '.join(known) or 'nothing'}" + ("" if russian else ": Russian images are refused")
    return EngineReport("tesseract", russian, found, "" if russian else GET_RUSSIAN)
