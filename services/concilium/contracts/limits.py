"""Limits every service states and keeps. Sizes in bytes, times in seconds."""

KIB = 1024
MIB = 1024 * KIB

BODY_BYTES = 32 * MIB
MESSAGE_PARTS = 64
JSON_DEPTH = 64
IMAGE_PIXELS = 64_000_000
TEXT_CHARS = 1_000_000

PLAN_STEPS = 32
PLAN_DEPTH = 8
HOPS = 8

DEADLINE_S = 600.0
DEADLINE_MAX_S = 86_400.0
WAIT_MAX_S = 120.0

LEASE_TTL_S = 20.0
RENEW_EVERY_S = 5.0
LEASE_STOP_MARGIN_S = 5.0
GRANTS_MAX = 5
"""How often one attempt may be handed to a runner before it counts as failed (a step that kills its runner)."""

ATTEMPTS_MAX = 3
FENCE_ERA = 1_000_000
"""Fences of unfinished work rise to the next multiple of this when a ledger is restored: agents that know a later
history than the ledger take whatever comes for newer, and what they remember of that step for another's."""

RETRY_BASE_S = 1.0
RETRY_MAX_S = 60.0

INLINE_ARTIFACT_BYTES = 256 * KIB
PROGRESS_EVERY_S = 0.25
IDEMPOTENCY_DAYS = 7

RING_BASE_S = 5.0
RING_MAX_S = 300.0
RING_SWEEP_MAX = 200
