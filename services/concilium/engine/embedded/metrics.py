"""What the server counts, for ``/metrics``."""

from prometheus_client import Counter, Gauge, Histogram

ROWS = Gauge("concilium_embedded_rows", "Requests at work.")
WAITING = Gauge("concilium_embedded_waiting", "Requests that wait for a slot.")
CACHED = Gauge("concilium_embedded_cached_tokens", "Tokens of the requests at work whose keys and values are kept.")
ADAPTERS = Gauge("concilium_embedded_adapters", "Adapters that are loaded.")
ADAPTER_BYTES = Gauge("concilium_embedded_adapter_bytes", "Memory of the adapters that are loaded.")
REFUSED = Counter("concilium_embedded_refused", "Requests refused because as many work and wait as may.")
ENDED = Counter("concilium_embedded_requests", "Requests that ended.", ("reason",))
PROMPT_TOKENS = Counter("concilium_embedded_prompt_tokens", "Tokens of prompts.")
REUSED_TOKENS = Counter("concilium_embedded_reused_tokens", "Tokens of prompts that were not computed again.")
GENERATED_TOKENS = Counter("concilium_embedded_generated_tokens", "Tokens generated.")
FAILED_STEPS = Counter(
    "concilium_embedded_failed_steps", "Steps that failed; rows that failed together are tried alone."
)
STEP_SECONDS = Histogram(
    "concilium_embedded_step_seconds",
    "One step of all rows.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
