"""Fronts kept beside the evaluations, and views for analysts."""

import moocore
import numpy as np
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# JSON has no infinities; a metric that is one is null in a view, as NaN is.
_METRICS = {
    "sqlite": """
        (SELECT json_group_object(m.name, CASE WHEN abs(m.value) <= 1.7976931348623157e308 THEN m.value END)
         FROM evaluation_metrics m WHERE m.job_id = e.job_id AND m.number = e.number)""",
    "postgresql": """
        (SELECT coalesce(jsonb_object_agg(m.name,
                    CASE WHEN abs(m.value) <= 1.7976931348623157e308::float8 THEN m.value END), '{}'::jsonb)
         FROM evaluation_metrics m WHERE m.job_id = e.job_id AND m.number = e.number)""",
}


_EVALUATIONS = """
    CREATE VIEW evaluations_wide AS
    SELECT e.job_id, j.name AS job, e.number, e.architecture_key, a.space, p.genotype, e.error, e.seconds, e.created_at,
        EXISTS (SELECT 1 FROM fronts f WHERE f.job_id = e.job_id AND f.number = e.number) AS on_front,
        (SELECT value FROM evaluation_metrics m
         WHERE m.job_id = e.job_id AND m.number = e.number AND m.name = 'accuracy') AS accuracy,
        (SELECT value FROM evaluation_metrics m
         WHERE m.job_id = e.job_id AND m.number = e.number AND m.name = 'loss') AS loss,
        (SELECT value FROM evaluation_metrics m
         WHERE m.job_id = e.job_id AND m.number = e.number AND m.name = 'macs') AS macs,
        (SELECT value FROM evaluation_metrics m
         WHERE m.job_id = e.job_id AND m.number = e.number AND m.name = 'params') AS params,
        METRICS AS metrics
    FROM evaluations e
    JOIN jobs j ON j.id = e.job_id
    JOIN architectures a ON a.key = e.architecture_key
    JOIN proposals p ON p.job_id = e.job_id AND p.number = e.proposal
"""
_FRONT = """
    CREATE VIEW front AS
    SELECT w.* FROM fronts f JOIN evaluations_wide w ON w.job_id = f.job_id AND w.number = f.number
"""


def upgrade() -> None:
    """Make the table, fill it for the jobs that are there, and make the views."""
    op.create_table(
        "fronts",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("losses", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_fronts"),
        sa.ForeignKeyConstraint(
            ["job_id", "number"], ["evaluations.job_id", "evaluations.number"], name="fk_fronts_job_id_number"
        ),
    )
    connection = op.get_bind()
    jobs = sa.table("jobs", sa.column("id", sa.Text), sa.column("spec", sa.JSON))
    for job_id, spec in connection.execute(sa.select(jobs.c.id, jobs.c.spec)).all():
        _fill(connection, job_id, spec.get("objectives") or [])
    op.execute(_EVALUATIONS.replace("METRICS", _METRICS[connection.dialect.name]))
    op.execute(_FRONT)


def _fill(connection: sa.Connection, job_id: str, objectives: list[dict[str, object]]) -> None:
    """The front of what a job has found so far, by the objectives of its spec."""
    values: dict[int, dict[str, float]] = {}
    query = (
        "SELECT e.number, m.name, m.value FROM evaluations e JOIN evaluation_metrics m ON m.job_id = e.job_id "
        "AND m.number = e.number WHERE e.job_id = :job AND e.error IS NULL AND m.value IS NOT NULL"
    )
    for number, name, value in connection.execute(sa.text(query), {"job": job_id}):
        values.setdefault(number, {})[name] = value
    feasible: dict[int, list[float]] = {}
    for number, found in values.items():
        losses = []
        for objective in objectives:
            sign = 1.0 if objective["direction"] == "min" else -1.0
            loss, bound = sign * found.get(str(objective["metric"]), np.nan), objective.get("bound")
            if not np.isfinite(loss) or (bound is not None and loss > sign * float(bound)):  # type: ignore[arg-type]
                break
            losses.append(loss)
        else:
            if losses:
                feasible[number] = losses
    if feasible:
        numbers = list(feasible)
        best = np.flatnonzero(moocore.is_nondominated(np.array([*feasible.values()]), keep_weakly=True))
        rows = [{"job_id": job_id, "number": numbers[i], "losses": feasible[numbers[i]]} for i in best]
        fronts = sa.table("fronts", sa.column("job_id"), sa.column("number"), sa.column("losses", sa.JSON))
        connection.execute(sa.insert(fronts), rows)
