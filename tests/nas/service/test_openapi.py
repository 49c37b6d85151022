"""Whatever a client sends to whichever route, the service does not fail, and answers as its document says."""

from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as fuzzing
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, openapi
from schemathesis.checks import content_type_conformance, not_a_server_error, response_schema_conformance
from starlette.types import Receive, Scope, Send
from toy_jobs import STATIC_JOB
from toy_records import architecture

from nas.jobspec.spec import JobSpec
from nas.service.app import create_app
from nas.service.settings import ServiceSettings
from storage.records import Role
from storage.service_records import ServiceRecords
from storage.store import ResultStore

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


def fuzz(examples: int) -> fuzzing:
    """The same examples in every run."""
    return fuzzing(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def resting(app: FastAPI) -> Any:
    """The application with nobody who works in the background: tasks that are asked for are recorded and not done."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for done in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{done}.complete"})

    return served


def answers(operation: Any, mode: GenerationMode, headers: Mapping[str, str], known: Mapping[str, str]) -> set[int]:
    """The statuses that an operation answers requests of a kind with, half of them with ids that are known."""
    seen = set()

    @fuzz(10)
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def ask(case: Any, real: bool) -> None:
        if real:
            case.path_parameters |= {name: known[name] for name in known.keys() & case.path_parameters.keys()}
        answer = case.call(headers=headers)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS, headers=headers)

    with nullcontext() if mode is GenerationMode.POSITIVE else suppress(Unsatisfiable):  # some take nothing
        ask()
    return seen


def test_no_operation_fails(store: ResultStore, job_id: str, settings: ServiceSettings) -> None:
    """None of the OpenAPI document, with parameters and bodies that fit it or do not, and ids that are known or not."""
    _, secret = ServiceRecords(store).create_token("test", Role.ADMIN)
    headers = {"Host": "localhost", "Authorization": f"Bearer {secret}"}
    document = openapi.from_asgi("/v1/openapi.json", resting(create_app(store, settings)), headers=headers)
    known = {"job_id": job_id, "key": architecture(0).key, "fingerprint": "f"}
    answered = {}
    for found in document.get_all_operations():
        operation = found.ok()
        answered[operation.label] = {
            status for mode in GenerationMode for status in answers(operation, mode, headers, known)
        }
    unknown = [label for label, seen in answered.items() if "{" in label and not seen & {404, 422}]
    assert unknown == ["GET /v1/architectures/{key}/encounters"]  # which are then none
    reads = [label for label in answered if label.startswith("GET") and ("{job_id}" in label or "{" not in label)]
    assert [label for label in reads if 200 not in answered[label]] == [
        "GET /v1/session",  # for browsers
        "GET /v1/progress",  # of jobs that are named in the query
        "GET /v1/jobs/{job_id}/networks/{key}/graph",  # of a space that is made up
    ]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["latency_ms@cpu", "accuracy", "nsga2", "darts", {}, [], [[]], {"": {}}, "\0", -1, 0, 1e308, 2**70]
    ),
    st.dictionaries(
        st.sampled_from(["name", "kind", "path", "metric", "bound", "epochs", "from"]), st.text(max_size=5)
    ),
)
PLACES = [(key,) for key in (*JobSpec.model_fields, "devices", "nothing")] + [
    ("space", "name"), ("space", "resolutions"), ("space", "depths"), ("space", "path"), ("objectives", 0),
    ("budget", "evaluations"), ("budget", "stall"), ("budget", "wall_seconds"), ("budget", "device_seconds"),
    ("execution", "workers"), ("devices", "cpu"), ("devices", "cpu", "threads"), ("data", "path"), ("data", "name"),
    ("supernet", "epochs"), ("train", "networks"), ("accuracy", "from"), ("recipe", "epochs"), ("strategy", "name"),
    ("strategy", "cost"), ("measuring", "anew"),
]  # fmt: skip


def put(plain: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with a value at a place, whatever is there."""
    if not place:
        return value
    first, *rest = place
    if isinstance(plain, list):
        return [put(each, tuple(rest), value) if index == first else each for index, each in enumerate(plain)]
    inside = plain if isinstance(plain, dict) else {}
    return {**inside, first: put(inside.get(first), tuple(rest), value)}


def test_no_job_breaks_its_judge(client: TestClient) -> None:
    """Anything in the place of anything: the job is judged, and no place of the judge's own is told."""

    @fuzz(150)
    @given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
    def judge(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
        job: Any = STATIC_JOB
        for place, value in changes:
            job = put(job, place, value)
        answer = client.post("/jobs/verdicts", json=job)
        assert answer.status_code == 200, answer.text
        verdict = answer.json()
        assert (verdict["name"] is None) == bool(verdict["problems"])

    judge()
