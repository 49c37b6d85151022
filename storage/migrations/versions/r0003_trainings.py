"""Trainings of single networks, and evaluations that were cut short."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "trainings",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("architecture_key", sa.Text(), nullable=False),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("curve", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("saved_seconds", sa.Double(), nullable=False),
        sa.Column("cause", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "architecture_key", name="pk_trainings"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_trainings_job_id"),
        sa.ForeignKeyConstraint(["architecture_key"], ["architectures.key"], name="fk_trainings_architecture_key"),
    )
    op.add_column("evaluations", sa.Column("stopped", sa.Text()))
