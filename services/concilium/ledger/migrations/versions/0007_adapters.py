"""Adapters: their versions, which of them serves, what happened to them, where they are loaded."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "adapter_lines",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("live", sa.String(), nullable=True),
        sa.Column("previous", sa.String(), nullable=True),
        sa.Column("canary", sa.String(), nullable=True),
        sa.Column("canary_terms", sa.Text(), nullable=True),
        sa.Column("canary_counts", sa.Text(), nullable=True),
        sa.Column("canary_began_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "adapters",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("parents", sa.Text(), nullable=False),
        sa.Column("probed", sa.Integer(), nullable=False),
        sa.Column("pinned", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("removed_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["adapter_lines.id"]),
        sa.PrimaryKeyConstraint("digest"),
        sa.UniqueConstraint("id", "version", name="uq_adapters_id_version"),
    )
    op.create_table(
        "adapter_events",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["adapter_lines.id"]),
        sa.PrimaryKeyConstraint("id", "seq"),
    )
    op.create_table(
        "adapter_replicas",
        sa.Column("replica", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["adapters.digest"]),
        sa.PrimaryKeyConstraint("replica", "digest"),
    )
    op.create_table(
        "adapter_keepers",
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("role"),
    )


def downgrade() -> None:
    for table in ("adapter_keepers", "adapter_replicas", "adapter_events", "adapters", "adapter_lines"):
        op.drop_table(table)
