"""Which parsers are here, for ``concilium doctor``."""

from importlib.metadata import PackageNotFoundError, version

from concilium.workers.runtime.engines import EngineReport

_PARSERS: tuple[tuple[str, str, str], ...] = (
    ("pypdfium2", "pypdfium2", "reads and draws PDF"),
    ("pdfplumber", "pdfplumber", "finds tables in PDF"),
    ("lxml", "lxml", "reads Word documents, HTML and XML"),
    ("openpyxl", "openpyxl", "reads Excel workbooks"),
    ("msoffcrypto", "msoffcrypto-tool", "opens Office documents with a password"),
    ("charset-normalizer", "charset-normalizer", "finds out encodings"),
)
_ADVICE = "pip install 'concilium[document]'"


def describe_engines() -> list[EngineReport]:
    """Return the parsers; none is loaded for it."""
    return [_describe(name, package, does) for name, package, does in _PARSERS]


def _describe(name: str, package: str, does: str) -> EngineReport:
    try:
        return EngineReport(name, True, f"{version(package)} {does}", "")
    except PackageNotFoundError:
        return EngineReport(name, False, "is not installed", _ADVICE)
