"""Why something is not trusted: one code for each check, so that no refusal can stand in for another."""

from enum import StrEnum

from concilium.contracts.errors import ConciliumError


class Code(StrEnum):
    """What a check found."""

    # the bytes of a metadata file
    TOO_LARGE = "too-large"
    NOT_JSON = "not-json"
    DUPLICATE_MEMBER = "duplicate-member"
    NOT_CANONICAL = "not-canonical"
    # what they say
    MALFORMED = "malformed"
    WRONG_ROLE = "wrong-role"
    BAD_VERSION = "bad-version"
    FOREIGN_INDEX = "foreign-index"
    KEY_ID_MISMATCH = "key-id-mismatch"
    UNKNOWN_KEY_TYPE = "unknown-key-type"
    ROLE_KEYS_SHARED = "role-keys-shared"
    UNREACHABLE_THRESHOLD = "unreachable-threshold"
    DUPLICATE_SIGNATURE = "duplicate-signature"
    BAD_TARGET = "bad-target"
    NOT_AN_ADAPTER = "not-an-adapter"
    # whether to believe it
    UNKNOWN_ROOT = "unknown-root"
    NOT_ENOUGH_SIGNATURES = "not-enough-signatures"
    STRAY_SIGNATURE = "stray-signature"
    ROOT_GAP = "root-gap"
    ROLLBACK = "rollback"
    EQUIVOCATION = "equivocation"
    MIX_AND_MATCH = "mix-and-match"
    EXPIRED = "expired"
    VERSION_REUSED = "version-reused"
    MISSING_ROLE = "missing-role"
    # what is kept here
    NOT_INITIALISED = "not-initialised"
    STATE_CORRUPT = "state-corrupt"
    STATE_UNSAFE = "state-unsafe"
    NO_INDEX = "no-index"
    # a bundle
    BAD_MANIFEST = "bad-manifest"
    BAD_ID = "bad-id"
    NAME_TAKEN = "name-taken"
    NOT_IN_INDEX = "not-in-index"
    DIGEST_MISMATCH = "digest-mismatch"
    REVOKED = "revoked"
    CLAIMS_DIFFER = "claims-differ"
    RESTRICTED = "restricted"
    REPORT_MISSING = "report-missing"
    UNSAFE_FILE = "unsafe-file"
    MISSING_FILE = "missing-file"
    UNLISTED_FILE = "unlisted-file"
    FILE_MISMATCH = "file-mismatch"
    # a private key
    KEY_UNUSABLE = "key-unusable"
    # a release signed by others
    RELEASE_UNSIGNED = "release-unsigned"


class TrustRefused(ConciliumError):
    """An adapter, its index or a key is not trusted; `code` says which check said no."""

    type, title, status = "trust-refused", "The adapter or its index is not trusted", 403

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{detail} ({code})", code=code.value)
        self.code = code
