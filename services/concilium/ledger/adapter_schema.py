"""The tables of adapters; times, JSON and keys as in `concilium.ledger.schema`."""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from concilium.ledger.schema import metadata

adapter_lines = Table(
    "adapter_lines",
    metadata,
    Column("id", String, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("last_seq", Integer, nullable=False),
    Column("live", String),
    Column("previous", String),
    Column("canary", String),
    Column("canary_terms", Text),
    Column("canary_counts", Text),
    Column("canary_began_at", Float),
)
"""One row for all versions of an adapter: it is locked before any of them changes."""

adapters = Table(
    "adapters",
    metadata,
    Column("digest", String, primary_key=True),
    Column("id", String, ForeignKey("adapter_lines.id"), nullable=False),
    Column("version", String, nullable=False),
    Column("state", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("parents", Text, nullable=False),
    Column("probed", Integer, nullable=False),
    Column("pinned", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("removed_at", Float),
    UniqueConstraint("id", "version"),
)
"""Versions; a row outlives its files, so that a version is never used for other bytes."""

adapter_events = Table(
    "adapter_events",
    metadata,
    Column("id", String, ForeignKey("adapter_lines.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("digest", String, nullable=False),
    Column("what", String, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("data", Text, nullable=False),
)

adapter_replicas = Table(
    "adapter_replicas",
    metadata,
    Column("replica", String, primary_key=True),
    Column("digest", String, ForeignKey("adapters.digest"), primary_key=True),
    Column("state", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", Float, nullable=False),
)
"""What is, or may be, loaded where; a row is written before an engine is told."""

adapter_keepers = Table(
    "adapter_keepers",
    metadata,
    Column("role", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("until", Float, nullable=False),
)
"""Which process of the control plane tells engines what to load; one at a time."""
