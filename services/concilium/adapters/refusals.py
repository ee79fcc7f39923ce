"""What is refused of an adapter, each with a code of its own that does not change."""

from enum import StrEnum

from concilium.contracts.errors import Invalid


class Refusal(StrEnum):
    """Why a folder is not an adapter of ours. docs/adapters.md says what to do about each."""

    NOT_A_FOLDER = "not-a-folder"
    MISSING_FILE = "missing-file"
    UNKNOWN_FILE = "unknown-file"
    BAD_NAME = "bad-name"
    SYMLINK = "symlink"
    HARD_LINK = "hard-link"
    SPECIAL_FILE = "special-file"
    SUBFOLDER = "subfolder"
    PATH_OUTSIDE = "path-outside"
    TOO_LARGE = "too-large"
    CHANGED = "changed"
    PICKLE = "pickle"
    BAD_TEXT = "bad-text"
    BAD_JSON = "bad-json"
    DUPLICATE_MEMBER = "duplicate-member"
    BAD_MANIFEST = "bad-manifest"
    BAD_REPORT = "bad-report"
    HASH_MISMATCH = "hash-mismatch"
    FALSE_CLAIM = "false-claim"
    """The manifest says something else than the file it speaks of."""
    BAD_CONFIG = "bad-config"
    UNSUPPORTED = "unsupported"
    """A member of the configuration, or a tensor, that changes what the adapter computes and that engines ignore."""
    REMOTE_BASE = "remote-base"
    DORA = "dora"
    MIXED_RANKS = "mixed-ranks"
    RSLORA = "rslora"
    MODULES_TO_SAVE = "modules-to-save"
    RANK_TOO_HIGH = "rank-too-high"
    HEADER_TOO_LARGE = "header-too-large"
    BAD_HEADER = "bad-header"
    BAD_OFFSETS = "bad-offsets"
    BAD_DTYPE = "bad-dtype"
    UNPAIRED = "unpaired"
    RANK_MISMATCH = "rank-mismatch"
    NOT_FINITE = "not-finite"
    ZERO_B = "zero-b"
    UNKNOWN_MODULE = "unknown-module"
    SHAPE_MISMATCH = "shape-mismatch"
    BASE_MISMATCH = "base-mismatch"
    BAD_BASE = "bad-base"
    LINEAR = "linear"
    BASES_DIFFER = "bases-differ"
    PARADIGMS_DIFFER = "paradigms-differ"
    EXISTS = "exists"


class BundleRefused(Invalid):
    """An adapter, or what should become one, is refused.

    Attributes:
        code: which refusal.
        file: the file it is about, or empty.
        module: the module of the base model it is about, or empty.
    """

    type, title = "adapter-refused", "The adapter is refused"

    def __init__(self, code: Refusal, detail: str, *, file: str = "", module: str = "") -> None:
        super().__init__(detail, code=code.value, file=file, module=module)
        self.code = code
        self.file = file
        self.module = module
