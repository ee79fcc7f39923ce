"""Every table of the ledger.

Times are seconds since the epoch (UTC, ledger's clock), JSON is text, money is whole micro-units.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", String, primary_key=True),
    Column("key_id", String, nullable=False),
    Column("operation", String, nullable=False),
    Column("context_id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("request", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("data_class", String, nullable=False),
    Column("hops", Integer, nullable=False),
    Column("deadline_s", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("deadline_at", Float, nullable=False),
    Column("paused_at", Float),
    Column("trace_id", String, nullable=False),
    Column("callback_url", Text),
    Column("replay_of", String),
    Column("question", Text),
    Column("answer", Text),
    Column("problem", Text),
    Column("plan", Text),
    Column("planner", String, nullable=False),
    Column("notes", Text, nullable=False),
    Column("last_seq", Integer, nullable=False),
    Column("think", String),
    Column("think_fence", Integer, nullable=False),
    Column("think_holder", String),
    Column("think_until", Float),
    Column("thought_count", Integer, nullable=False),
    Column("cost", BigInteger),
    Column("currency", String),
    Column("unpriced", Integer, nullable=False, server_default="0"),
    Column("traceparent", String, nullable=False, server_default=""),
    Column("execution_id", String),
)
Index("ix_tasks_key_id_id", tasks.c.key_id, tasks.c.id)
Index("ix_tasks_state_id", tasks.c.state, tasks.c.id)
_COUNTING = text("state IN ('submitted', 'working', 'auth-required')")
Index("ix_tasks_deadline_at", tasks.c.deadline_at, sqlite_where=_COUNTING, postgresql_where=_COUNTING)
_THINKING = text("think IS NOT NULL")
Index("ix_tasks_think_until", tasks.c.think_until, sqlite_where=_THINKING, postgresql_where=_THINKING)

steps = Table(
    "steps",
    metadata,
    Column("task_id", String, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("step", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("agent", String, nullable=False),
    Column("skill", String, nullable=False),
    Column("effects", String, nullable=False),
    Column("state", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("deadline_s", Float, nullable=False),
    Column("task_deadline_at", Float, nullable=False),
    Column("deadline_at", Float),
    Column("created_at", Float, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("grants", Integer, nullable=False),
    Column("runner", String),
    Column("node", String),
    Column("lease_until", Float),
    Column("ring_at", Float, nullable=False),
    Column("ring_delay_s", Float, nullable=False),
    Column("input", Text, nullable=False),
    Column("output", Text),
    Column("artifacts", Text),
    Column("problem", Text),
    Column("duration_s", Float),
    Column("granted_at", Float),
    Column("cost", BigInteger),
)
_READY, _WORKING = text("state = 'ready'"), text("state = 'working'")
Index(
    "ix_steps_claim",
    steps.c.agent,
    steps.c.priority,
    steps.c.task_deadline_at,
    steps.c.created_at,
    sqlite_where=_READY,
    postgresql_where=_READY,
)
Index("ix_steps_ring_at", steps.c.ring_at, sqlite_where=_READY, postgresql_where=_READY)
Index("ix_steps_lease_until", steps.c.lease_until, sqlite_where=_WORKING, postgresql_where=_WORKING)

events = Table(
    "events",
    metadata,
    Column("task_id", String, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("body", Text, nullable=False),
)

thoughts = Table(
    "thoughts",
    metadata,
    Column("task_id", String, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", Float, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key_id", String, primary_key=True),
    Column("operation", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("task_id", String, nullable=False),
    Column("created_at", Float, nullable=False),
)
Index("ix_idempotency_created_at", idempotency.c.created_at)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("rate_per_minute", Integer),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("budget", BigInteger),
    UniqueConstraint("sha256"),
)

old_secrets = Table(
    "old_secrets",
    metadata,
    Column("sha256", String, primary_key=True),
    Column("key_id", String, ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False),
    Column("until", Float, nullable=False),
)
Index("ix_old_secrets_key_id", old_secrets.c.key_id)

outbox = Table(
    "outbox",
    metadata,
    Column("id", String, primary_key=True),
    Column("task_id", String, ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("target", Text, nullable=False),
    Column("type", String, nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("delivered_at", Float),
    Column("error", Text),
)
_QUEUED = text("state = 'queued'")
Index("ix_outbox_due_at", outbox.c.due_at, sqlite_where=_QUEUED, postgresql_where=_QUEUED)
Index("ix_outbox_state", outbox.c.state)
Index("ix_outbox_task_id_seq", outbox.c.task_id, outbox.c.seq)

blob_refs = Table(
    "blob_refs",
    metadata,
    Column("sha256", String, primary_key=True),
    Column("task_id", String, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
)
Index("ix_blob_refs_task_id", blob_refs.c.task_id)

blob_owners = Table(
    "blob_owners",
    metadata,
    Column("sha256", String, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("at", Float, nullable=False),
)

spending = Table(
    "spending",
    metadata,
    Column("month", String, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("shard", Integer, primary_key=True),
    Column("currency", String, nullable=False),
    Column("caused", BigInteger, nullable=False),
    Column("share", BigInteger, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("ms", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
)
"""Sums that outlive the tasks; a few rows a month, key and source."""

monthly_prices = Table(
    "monthly_prices",
    metadata,
    Column("month", String, primary_key=True),
    Column("node", String, primary_key=True),
    Column("currency", String, nullable=False),
    Column("micros", BigInteger, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("name", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("dial", String, nullable=False),
    Column("address", String, nullable=False),
    Column("agents", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("price_per_hour", BigInteger),
    Column("capabilities", Text),
    Column("invitation", String, nullable=False),
    Column("invited_until", Float, nullable=False),
    Column("fingerprint", String),
    Column("former_fingerprint", String),
    Column("former_until", Float),
    Column("certificate_until", Float),
    Column("created_at", Float, nullable=False),
    Column("enrolled_at", Float),
    Column("last_seen_at", Float),
    Column("skew_s", Float),
    Column("revoked_at", Float),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("last_refusal", Text, nullable=False, server_default=""),
)
"""Rented nodes; the machine at home is not here."""
