"""A job as one file of HTML that needs nothing else: its data, its drawings and its style are inside."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dashboards.pages.rendering import IMPORT, STATIC, TEMPLATES, THEME, modules
from nas.service.archives import archive_of
from nas.service.importance import importance
from nas.service.jobs import front_of
from nas.service.points import points_of
from nas.service.progress import Progress
from nas.service.schemas import Failure, Job, Round
from storage.looking import Looking
from storage.store import ResultStore

_ENTRY = "report.js"
_EXPORT = re.compile(r"^export (?:async )?(?:function|class|const) (\w+)", re.MULTILINE)


def report(store: ResultStore, job_id: str) -> str:
    """The page of a job as a file.

    Raises:
        UnknownJob: there is no such job.
    """
    job, looking = store.job(job_id), Looking(store)
    archive = archive_of(store, job_id)
    data: dict[str, Any] = {
        "job": Job.model_validate(job).model_dump(mode="json"),
        "points": base64.b64encode(points_of(store, job_id)).decode(),
        "progress": [{**each.model_dump(), "name": job.name} for each in Progress(store).of([job_id])],
        "front": front_of(store, job_id).model_dump(mode="json"),
        "importance": [each.model_dump() for each in importance(job_id, store)],
        "failures": [Failure.model_validate(each).model_dump() for each in looking.failures(job_id)],
        "archive": archive and archive.model_dump(),
        "rounds": [Round.model_validate(each).model_dump() for each in store.rounds(job_id)],
    }
    script = (STATIC / "faults.js").read_text() + bundled(_ENTRY)
    style = THEME.read_text() + (STATIC / "style.css").read_text()
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    return templates.get_template("report.html").render(
        job=job,
        written_at=datetime.now(UTC).isoformat(sep=" ", timespec="minutes"),
        # Within a script element only `</script` and `<!--` end or change what is read; JSON can do without `<`.
        data=Markup(json.dumps(data, allow_nan=False).replace("<", "\\u003c")),  # noqa: S704
        script=Markup(script),  # noqa: S704 - ours
        style=Markup(style),  # noqa: S704 - ours
        script_hash=_hash(script),
        style_hash=_hash(style),
    )


def bundled(entry: str, folder: Path = STATIC) -> str:
    """A module and all that it imports as one script: each becomes a function that returns what it exports."""
    order: list[str] = []

    def visit(name: str) -> None:
        for _, other in IMPORT.findall((folder / name).read_text()):
            if other not in order:
                visit(other)
        order.append(name)

    visit(entry)
    assert set(order) == {entry, *modules(entry, folder)}
    return "const modules = {};\n" + "\n".join(_wrapped(name, (folder / name).read_text()) for name in order)


def _wrapped(name: str, text: str) -> str:
    exported = ", ".join(_EXPORT.findall(text))
    body = IMPORT.sub(r'const \1 = modules["\2"];', text)
    body = re.sub(r"^export ", "", body, flags=re.MULTILINE)
    return f'modules["{name}"] = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();'


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
