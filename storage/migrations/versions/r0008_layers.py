"""What layers take on devices."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "layers",
        sa.Column("device_fingerprint", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["device_fingerprint"], ["devices.fingerprint"], name="fk_layers_device_fingerprint"),
        sa.PrimaryKeyConstraint("device_fingerprint", "signature", name="pk_layers"),
    )
