"""Limits of the agent runtime beyond those of the mesh. Sizes in bytes, times in seconds."""

from concilium.contracts.limits import BODY_BYTES, MIB

OUTPUT_BYTES = 4 * MIB
"""A run's output as JSON."""
FILES_BYTES = BODY_BYTES
"""All files of one result."""

KEEP_S = 24 * 3600.0
"""Finished runs are kept this long, so that a new lease holder re-attaches."""
KEEP_BYTES = 1024 * MIB
"""All finished runs of one agent; the oldest go first."""
SWEEP_EVERY_S = 300.0

LOG_BYTES = 64 * MIB
"""The execution log is rotated beyond this; one older file is kept."""
FENCES_MAX = 100_000
"""Steps whose fence is remembered; the oldest are forgotten first."""

BODY_TIMEOUT_S = 60.0
"""A request's body must have arrived within this time."""
CANCEL_WAIT_S = 1.0
"""A cancel is answered within this time."""
STOP_GRACE_S = 5.0
"""A run that somebody follows is given this long when the service is told to stop."""
STOP_LONE_S = 1.0
"""A run that nobody follows is given this long after that."""
WARM_UP_RETRY_S = 5.0
