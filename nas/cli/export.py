"""`nas export`: the chosen network as a checked ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AllowCode, AsJson, Default, JobId, StoreUrl, find_job, open_store
from nas.cli.output import messages, print_json, print_table
from nas.jobspec.load import parse_job
from nas.results import NothingFound, Results
from profilers.host import PRECISIONS


def export(
    job: JobId,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.onnx", help="Where the model goes.")],
    pick: Annotated[str, typer.Option(help="knee, best:METRIC, or the beginning of an architecture's key.")] = "knee",
    precision: Annotated[
        str, typer.Option(help="fp32, or int8: quantised with calibration samples of the job.")
    ] = "fp32",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    store: StoreUrl = Default,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Export a network of the front as ONNX, after proving that it does what the front says."""
    with bad_input():
        if precision not in PRECISIONS:
            raise ValueError(f"--precision must be one of {', '.join(PRECISIONS)} (got {precision!r})")
        if output.exists() and not force:
            raise ValueError(f"--output {output} exists; give another name or --force")
        if not output.parent.is_dir():
            raise ValueError(f"--output {output}: the folder {output.parent} does not exist")
    with open_store(store) as opened:
        with bad_input():
            found = find_job(opened, job)
            source = f"the stored spec of job {found.id}"
            spec = parse_job(found.spec, source=source, allow_code=allow_code)
            results = Results.load(opened, found, front_alone=pick == "knee" or pick.startswith("best:"))
        try:
            chosen = results.pick(pick)
        except NothingFound as error:
            raise stop(f"job {found.id}: {error}", 1) from error
        except ValueError as error:
            raise stop(str(error), 2) from error
        messages.print(f"exporting {chosen.architecture_key[:12]} of {found.id}")

        from nas.artifacts import artifact_folder
        from nas.export import ExportFailed, export_model
        from nas.problem import prepare
        from profilers.errors import ProfilingFailed

        with bad_input():
            problem = prepare(spec, allow_code=allow_code)
        try:
            exported = export_model(opened, artifact_folder(store), found, problem, chosen, output, precision)
        except (ExportFailed, ProfilingFailed, RuntimeError, ValueError, OSError) as error:
            raise stop(f"nothing was exported: {error}", 1) from error
    checks = [
        {"check": c.name, "front": c.expected, "exported": c.found, "allowed": c.tolerance} for c in exported.checks
    ]
    artifact = exported.artifact
    if as_json:
        print_json(
            {
                "id": artifact.id,
                "path": artifact.path,
                "sha256": artifact.sha256,
                "bytes": artifact.size_bytes,
                "architecture_key": chosen.architecture_key,
                "genotype": chosen.genotype,
                "metrics": chosen.metrics,
                "checks": checks,
            }
        )
    else:
        print_table(checks, title=f"{output}: {artifact.size_bytes:,} bytes, every check passed")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)
