"""A node's key changes with its certificate; the one before is taken for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nodes", sa.Column("former_fingerprint", sa.String(), nullable=True))
    op.add_column("nodes", sa.Column("former_until", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("nodes", "former_until")
    op.drop_column("nodes", "former_fingerprint")
