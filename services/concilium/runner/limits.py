"""Limits of the runner beyond those of the mesh. Sizes in bytes, times in seconds."""

from typing import Final

from concilium.contracts.limits import BODY_BYTES, MIB

REQUEST_S: Final = 15.0
"""One request to the control plane, files apart."""
BLOB_S: Final = 120.0
"""One file from or to the control plane."""
CONNECT_S: Final = 3.0

AGENT_PATIENCE_S: Final = 10.0
"""An agent that cannot be reached is tried again for this long: it may be restarting."""
NODE_PATIENCE_S: Final = 60.0
"""The same for an agent of a rented node: its link may be cut, while what it runs goes on and can be attached to."""
AGENT_LATE_S: Final = 5.0
"""An agent ends a run at its deadline; one that has not by so much later is given up."""
AGENT_SILENT_S: Final = 60.0
"""A stream without even a keep-alive comment (the agents send one every 15 s) is broken."""
AGENT_BYTES: Final = 2 * BODY_BYTES
"""Everything one stream may bring, base64 included."""
OUTPUT_BYTES: Final = 4 * MIB
"""A run's output as JSON."""
DETAIL_CHARS: Final = 2000
"""What is kept of an agent's own words about a failure."""
ERROR_BYTES: Final = 64 * 1024
OFFLOAD_BYTES: Final = 256 * 1024
"""Beyond this, JSON is read and written on a thread, so that renewals go on meanwhile."""

RETRY_BASE_S: Final = 0.1
RETRY_MAX_S: Final = 2.0

IDLE_CLAIM_S: Final = 5.0
"""An idle agent's work is looked for this often even when no hint comes."""
DEAF_S: Final = 15.0
"""Work found this long without a hint means that the consumer no longer hears."""
DEAF_EXIT: Final = 75
"""EX_TEMPFAIL of sysexits.h: the supervisor starts the runner again."""
STOP_GRACE_S: Final = 5.0
"""Running steps may end within this time when the runner is told to stop; the rest is abandoned to the next holder."""
GIVE_UP_S: Final = 1.0
"""What giving runs up may take then."""
