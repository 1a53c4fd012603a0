"""Snapshots in parts: a commit rewrites only what has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table; a snapshot that is there becomes the core part, which says its version."""
    op.create_table(
        "snapshot_parts",
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["partition"], ["progress.partition"]),
        sa.PrimaryKeyConstraint("partition", "name"),
    )
    op.execute(
        "INSERT INTO snapshot_parts (partition, name, taken_at, body) "
        "SELECT partition, 'core', taken_at, body FROM snapshots"
    )
    op.drop_table("snapshots")
