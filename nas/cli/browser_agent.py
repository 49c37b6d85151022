"""`nas browser-agent`: browsers as devices for jobs."""

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.output import messages

browser_agent = typer.Typer(
    help="Make browsers devices: who opens the page on a laptop or phone and types the join code adds that browser.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@browser_agent.command()
def install(
    archive: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The npm package, where it was fetched by other means.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to, in place of the user's cache.")] = None,
) -> None:
    """Fetch ONNX Runtime Web with npm, check it, and unpack the files that the page needs."""
    from dashboards.browsers import runtime

    try:
        with bad_input():
            place = runtime.install(folder, archive) if archive or not runtime.is_there(folder) else folder
    except runtime.RuntimeFilesError as error:
        raise stop(str(error), 1) from error
    messages.print(f"onnxruntime-web {runtime.VERSION} is in {place or runtime.default_folder()}")


@browser_agent.command()
def serve(
    page: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where browsers open the page.")] = "127.0.0.1:7412",
    serve: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where jobs reach the browsers.")] = "127.0.0.1:7413",
    token_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="The secret that jobs must know, in a private file.")
    ] = None,
    token_env: Annotated[str | None, typer.Option(metavar="NAME", help="Or in an environment variable.")] = None,
    code: Annotated[str | None, typer.Option(help="The join code; a new one is drawn if not given.")] = None,
    host: Annotated[list[str] | None, typer.Option(help="A name of this machine that browsers use.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate for HTTPS (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key (PEM).")] = None,
    max_model_bytes: Annotated[int | None, typer.Option(help="Largest model, in bytes.")] = None,
    max_memory_bytes: Annotated[int | None, typer.Option(help="Memory that a model may take, in bytes.")] = None,
    max_wall_s: Annotated[float | None, typer.Option(help="Seconds that a measurement may take.")] = None,
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Where `install` put the files.")] = None,
) -> None:
    """Serve the page, and its browsers to jobs: {kind: browser, address: HOST:PORT}."""
    from dataclasses import replace

    from dashboards.browsers.runtime import RuntimeFilesError
    from dashboards.browsers.service import BrowserService, Tls
    from profilers.agent_token import read_token
    from profilers.browser_bench import BROWSER_LIMITS

    given: dict[str, Any] = {"model_bytes": max_model_bytes, "memory_bytes": max_memory_bytes, "wall_s": max_wall_s}
    try:
        with bad_input():
            if (tls_cert is None) != (tls_key is None):
                raise ValueError("--tls-cert and --tls-key belong together; one of them is missing")
            service = BrowserService(
                page,
                serve,
                read_token(token_file, token_env),
                code=code,
                tls=Tls(tls_cert, tls_key) if tls_cert and tls_key else None,
                limits=replace(BROWSER_LIMITS, **{key: value for key, value in given.items() if value is not None}),
                hosts=host or (),
                runtime=folder,
            )
    except RuntimeFilesError as error:
        raise stop(str(error), 1) from error
    typer.echo(f"browsers join at {service.page}#code={service.lobby.code}")
    typer.echo(f"jobs reach them at {service.address}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        service.run()
    except KeyboardInterrupt:
        messages.print("browser agent ends")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(browser_agent, name="browser-agent")
