"""Finding files that hold or wrap Python pickles, by what is in them: their names say nothing.

Formats: pickle protocols 0-5 (Python's ``pickletools``), PyTorch's ZIP files and the older ones, and compressed forms
that `joblib` and `numpy` open. A file is looked at, never loaded.
"""

import io
import pickletools

HEAD = 2**20
"""What is looked at: all of a text, and of weights far more than their kind shows in."""
TAIL = 22 + 65535
"""An archive's end record and its longest comment (ZIP application note 6.3.10, section 4.3.16)."""

_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".dill", ".model")
_MAGIC = {
    b"PK\x03\x04": "a ZIP archive, as PyTorch's pickles are",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"\x93NUMPY": "a NumPy file, which may hold pickles",
}
_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "EXT1", "EXT2", "EXT4"}
"""Opcodes that import or call something."""


def kind_of(name: str, head: bytes, tail: bytes) -> str:
    """Return what a file is when loading it could run code, or an empty string.

    Args:
        name: its name; a suffix that loaders unpickle is enough.
        head: its first `HEAD` bytes, or all.
        tail: its last `TAIL` bytes, or all.
    """
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if _is_pickle(head):
        return "a Python pickle"
    if _ends_as_zip(tail):
        return "a ZIP archive with something before it"
    if name.lower().endswith(_SUFFIXES):
        return "named as a file that loaders unpickle"
    return ""


def _is_pickle(head: bytes) -> bool:
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        # A safetensors file can begin so too: its header's length. Eight bytes on, it has a brace.
        return head[8:9] != b"{" or _calls(head)
    return _calls(head)


def _calls(head: bytes) -> bool:
    """Whether the bytes, read as a pickle of any protocol, import or call something and come to an end."""
    called = False
    try:
        for opcode, _, _ in pickletools.genops(io.BytesIO(head)):
            called = called or opcode.name in _CALLS
    except Exception:  # noqa: BLE001 - pickletools raises whatever its decoders do; any of it means "no pickle"
        return False
    return called


def _ends_as_zip(tail: bytes) -> bool:
    """Whether an archive's end record closes the file: readers find archives from the end."""
    at = tail.rfind(b"PK\x05\x06")
    return at >= 0 and len(tail) - at >= 22 and at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail)
