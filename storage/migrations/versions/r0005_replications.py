"""Finalists that were measured anew; the views show these values in the place of those that the search went by."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_REPORTED = """
    CREATE VIEW reported_metrics AS
    SELECT m.job_id, m.number, m.name, coalesce(r.value, m.value) AS value, r.stable
    FROM evaluation_metrics m
    JOIN evaluations e ON e.job_id = m.job_id AND e.number = m.number
    LEFT JOIN replications r
        ON r.job_id = m.job_id AND r.architecture_key = e.architecture_key AND r.metric = m.name
"""
_OBJECT = {
    "sqlite": "json_group_object(m.name, CASE WHEN abs(m.value) <= 1.7976931348623157e308 THEN m.value END)",
    "postgresql": """
        coalesce(jsonb_object_agg(m.name,
            CASE WHEN abs(m.value) <= 1.7976931348623157e308::float8 THEN m.value END), '{}'::jsonb)""",
}
_METRIC = "(SELECT {what} FROM reported_metrics m WHERE m.job_id = e.job_id AND m.number = e.number{named})"
_FRONT = """
    CREATE VIEW front AS
    SELECT w.* FROM fronts f JOIN evaluations_wide w ON w.job_id = f.job_id AND w.number = f.number
"""


def upgrade() -> None:
    """Make the table, which jobs that ended before have nothing in, and the views anew."""
    op.create_table(
        "replications",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("architecture_key", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("searched", sa.Double()),
        sa.Column("stable", sa.Boolean(), nullable=False),
        sa.Column("statistics", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id", "architecture_key"],
            ["evaluations.job_id", "evaluations.architecture_key"],
            name="fk_replications_job_id_architecture_key",
        ),
        sa.PrimaryKeyConstraint("job_id", "architecture_key", "metric", name="pk_replications"),
    )
    op.execute("DROP VIEW front")
    op.execute("DROP VIEW evaluations_wide")
    op.execute(_REPORTED)
    op.execute(_evaluations(op.get_bind().dialect.name))
    op.execute(_FRONT)


def _evaluations(dialect: str) -> str:
    """What makes the view with a row for each evaluation."""
    single = [
        _METRIC.format(what="m.value", named=f" AND m.name = '{name}'") + f" AS {name}"
        for name in ("accuracy", "loss", "macs", "params")
    ]
    return f"""
        CREATE VIEW evaluations_wide AS
        SELECT e.job_id, j.name AS job, e.number, e.architecture_key, a.space, p.genotype, e.error, e.seconds,
            e.created_at,
            EXISTS (SELECT 1 FROM fronts f WHERE f.job_id = e.job_id AND f.number = e.number) AS on_front,
            {", ".join(single)},
            {_METRIC.format(what=_OBJECT[dialect], named="")} AS metrics
        FROM evaluations e
        JOIN jobs j ON j.id = e.job_id
        JOIN architectures a ON a.key = e.architecture_key
        JOIN proposals p ON p.job_id = e.job_id AND p.number = e.proposal
    """  # noqa: S608 - constants of this file
