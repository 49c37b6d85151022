"""The views for analysts with what was measured anew in the place of what the search went by."""

from alembic import op

revision = "0007"
down_revision = "0006"
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
    SELECT e.job_id, j.name AS job, e.number, e.architecture_key, a.space, p.genotype, e.error, e.seconds, e.created_at,
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
    """Replace both views."""
    aggregate = _JSON[op.get_bind().dialect.name].replace("FINITE", _FINITE)
    op.execute("DROP VIEW front")
    op.execute("DROP VIEW evaluations_wide")
    op.execute(_EVALUATIONS.replace("METRICS", _METRICS).replace("JSON", aggregate))
    op.execute(_FRONT)
