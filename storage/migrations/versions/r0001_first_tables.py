"""The first tables: jobs, architectures, proposals, evaluations, measurements, devices, artifacts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables of an empty database."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("owner", sa.Text()),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True)),
        sa.Column("lease_seconds", sa.Double()),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_status", "jobs", ["status"])
    op.create_index("ix_jobs_created_at", "jobs", ["created_at"])
    op.create_table(
        "architectures",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("space", sa.Text(), nullable=False),
        sa.Column("genotype", sa.JSON(), nullable=False),
        sa.Column("static_metrics", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_architectures"),
    )
    op.create_table(
        "devices",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.JSON(), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_devices"),
    )
    _create_search_tables()
    _create_result_tables()


def _create_search_tables() -> None:
    op.create_table(
        "proposals",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("architecture_key", sa.Text(), nullable=False),
        sa.Column("genotype", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_proposals"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_proposals_job_id"),
        sa.ForeignKeyConstraint(["architecture_key"], ["architectures.key"], name="fk_proposals_architecture_key"),
    )
    op.create_index("ix_proposals_job_id_architecture_key", "proposals", ["job_id", "architecture_key"])
    op.create_table(
        "evaluations",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("architecture_key", sa.Text(), nullable=False),
        sa.Column("proposal", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_evaluations"),
        sa.UniqueConstraint("job_id", "architecture_key", name="uq_evaluations_job_id_architecture_key"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_evaluations_job_id"),
        sa.ForeignKeyConstraint(["architecture_key"], ["architectures.key"], name="fk_evaluations_architecture_key"),
        sa.ForeignKeyConstraint(
            ["job_id", "proposal"],
            ["proposals.job_id", "proposals.number"],
            name="fk_evaluations_job_id_proposal",
        ),
    )
    op.create_index("ix_evaluations_architecture_key", "evaluations", ["architecture_key"])
    op.create_table(
        "evaluation_metrics",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.PrimaryKeyConstraint("job_id", "number", "name", name="pk_evaluation_metrics"),
        sa.ForeignKeyConstraint(
            ["job_id", "number"],
            ["evaluations.job_id", "evaluations.number"],
            name="fk_evaluation_metrics_job_id_number",
        ),
        sqlite_with_rowid=False,
    )


def _create_result_tables() -> None:
    op.create_table(
        "measurements",
        sa.Column("architecture_key", sa.Text(), nullable=False),
        sa.Column("device_fingerprint", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("device_name", sa.Text(), nullable=False),
        sa.Column("statistics", sa.JSON(), nullable=False),
        sa.Column("samples", sa.LargeBinary(), nullable=False),
        sa.Column("job_id", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("architecture_key", "device_fingerprint", "metric", name="pk_measurements"),
        sa.ForeignKeyConstraint(["architecture_key"], ["architectures.key"], name="fk_measurements_architecture_key"),
        sa.ForeignKeyConstraint(
            ["device_fingerprint"], ["devices.fingerprint"], name="fk_measurements_device_fingerprint"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_measurements_job_id"),
    )
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_artifacts"),
        sa.UniqueConstraint("job_id", "path", name="uq_artifacts_job_id_path"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_artifacts_job_id"),
    )
