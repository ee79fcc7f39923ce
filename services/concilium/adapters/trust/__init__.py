"""Trust: which adapters may be handed to an engine, and who said so.

An index names every version of every adapter by the SHA-256 of its manifest. It is signed in the manner of The Update
Framework (TUF specification 1.0): root keys say whose keys sign what, an index key signs the list, a freshness key
signs that it is the newest. `verify` compares a bundle with the index, byte for byte, and returns a `VerifiedAdapter`,
which nobody else can make.
"""

from concilium.adapters.trust.drafts import changes, cosign, read_draft
from concilium.adapters.trust.exchange import export_to, import_from
from concilium.adapters.trust.keys import KeyFolder, Kind, read_passphrase
from concilium.adapters.trust.owner import Owner
from concilium.adapters.trust.proof import VerifiedAdapter, check_named, verify
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.adapters.trust.release import Release
from concilium.adapters.trust.report import adapter, report
from concilium.adapters.trust.state import TrustState
from concilium.adapters.trust.targets import Reference, Target
from concilium.adapters.trust.update import Index, Trusted

__all__ = [
    "Code",
    "Index",
    "KeyFolder",
    "Kind",
    "Owner",
    "Reference",
    "Release",
    "Target",
    "TrustRefused",
    "TrustState",
    "Trusted",
    "VerifiedAdapter",
    "adapter",
    "changes",
    "check_named",
    "cosign",
    "export_to",
    "import_from",
    "read_draft",
    "read_passphrase",
    "report",
    "verify",
]
