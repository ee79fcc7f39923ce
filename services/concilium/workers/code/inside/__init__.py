"""Programs that run inside the sandbox, sent there as text. They import nothing of ours."""

from pathlib import Path


def program(name: str) -> bytes:
    """Return the text of one of them."""
    return (Path(__file__).resolve().parent / f"{name}.py").read_bytes()
