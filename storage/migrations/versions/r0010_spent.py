"""What jobs spent of their budgets and why they ended; the views tell which evaluations were cut short."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# JSON has no infinities; a metric that is one is null, as NaN is.
_METRICS = """
    SELECT m.name AS name, coalesce(r.value, m.value) AS value
    FROM evaluation_metrics m
    LEFT JOIN replications r
        ON r.job_id = m.job_id AND r.architecture_key = e.architecture_key AND r.metric = m.name
    WHERE m.job_id = e.job_id AND m.number = e.number
"""
_FINITE = "CASE WHEN abs(k.value) <= 1.7976931348623157e308 THEN k.value END"
_JSON = {
    "sqlite": "json_group_object(k.name, FINITE)",
    "postgresql": "coalesce(jsonb_object_agg(k.name, FINITE), '{}'::jsonb)",
}
_EVALUATIONS = """
    CREATE VIEW evaluations_wide AS
    SELECT e.job_id, j.name AS job, e.number, e.architecture_key, a.space, p.genotype, e.error, e.stopped, e.seconds,
        e.device_seconds, e.created_at,
        EXISTS (SELECT 1 FROM fronts f WHERE f.job_id = e.job_id AND f.number = e.number) AS on_front,
        (SELECT min(CASE WHEN r.stable THEN 1 ELSE 0 END) FROM replications r
         WHERE r.job_id = e.job_id AND r.architecture_key = e.architecture_key) AS stable,
        (SELECT k.value FROM (METRICS) k WHERE k.name = 'accuracy') AS accuracy,
        (SELECT k.value FROM (METRICS) k WHERE k.name = 'loss') AS loss,
        (SELECT k.value FROM (METRICS) k WHERE k.name = 'macs') AS macs,
        (SELECT k.value FROM (METRICS) k WHERE k.name = 'params') AS params,
        (SELECT JSON FROM (METRICS) k) AS metrics
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
    """Add three columns and replace both views; of what was spent before nobody knows."""
    op.execute("DROP VIEW front")
    op.execute("DROP VIEW evaluations_wide")
    op.add_column("jobs", sa.Column("ran_seconds", sa.Double(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("end_reason", sa.Text(), nullable=True))
    op.add_column("evaluations", sa.Column("device_seconds", sa.Double(), nullable=False, server_default="0"))
    aggregate = _JSON[op.get_bind().dialect.name].replace("FINITE", _FINITE)
    op.execute(_EVALUATIONS.replace("METRICS", _METRICS).replace("JSON", aggregate))
    op.execute(_FRONT)
