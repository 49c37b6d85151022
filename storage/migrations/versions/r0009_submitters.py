"""Who submitted a job to a service."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of jobs that are there nobody knows."""
    op.add_column("jobs", sa.Column("submitted_by", sa.Text(), nullable=True))
