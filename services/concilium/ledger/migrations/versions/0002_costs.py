"""Costs of tasks and attempts, the month's sums, monthly prices, budgets of keys."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ALTER TABLE: a batch would copy the tables, and dropping the old ones would cascade.
    op.add_column("tasks", sa.Column("cost", sa.BigInteger(), nullable=True))
    op.add_column("tasks", sa.Column("currency", sa.String(), nullable=True))
    op.add_column("tasks", sa.Column("unpriced", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("steps", sa.Column("granted_at", sa.Float(), nullable=True))
    op.add_column("steps", sa.Column("cost", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("budget", sa.BigInteger(), nullable=True))
    op.create_table(
        "spending",
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("caused", sa.BigInteger(), nullable=False),
        sa.Column("share", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("ms", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("month", "key_id", "kind", "name", "shard"),
    )
    op.create_table(
        "monthly_prices",
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("month", "node"),
    )


def downgrade() -> None:
    op.drop_table("monthly_prices")
    op.drop_table("spending")
    op.drop_column("api_keys", "budget")
    op.drop_column("steps", "cost")
    op.drop_column("steps", "granted_at")
    op.drop_column("tasks", "unpriced")
    op.drop_column("tasks", "currency")
    op.drop_column("tasks", "cost")
