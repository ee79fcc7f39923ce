"""A task keeps the span it belongs to, and the id of the caller's execution that asked for it.

Callbacks are counted by state at every scrape of the metrics, which takes an index.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("traceparent", sa.String(), nullable=False, server_default=""))
    op.add_column("tasks", sa.Column("execution_id", sa.String(), nullable=True))
    op.create_index("ix_outbox_state", "outbox", ["state"], unique=False)
    # What is there belongs to no span that anybody has seen: flags 00, not sampled.
    op.execute("UPDATE tasks SET traceparent = '00-' || trace_id || '-' || substr(trace_id, 17) || '-00'")


def downgrade() -> None:
    op.drop_index("ix_outbox_state", table_name="outbox")
    op.drop_column("tasks", "execution_id")
    op.drop_column("tasks", "traceparent")
