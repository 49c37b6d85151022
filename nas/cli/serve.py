"""`nas serve`, `nas token`: the service and who may use it."""

import ipaddress
import logging
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AllowCode, AsJson, Default, RayAddress, StoreUrl, open_store
from nas.cli.output import messages, print_json, print_table
from storage.records import Role

_GOODBYE_SECONDS = 3
"""How long a service that ends waits for pages that follow a job; they come back by themselves."""

tokens = typer.Typer(help="Make, list and revoke tokens of the service.", no_args_is_help=True, rich_markup_mode=None)


def serve(
    store: StoreUrl = Default,
    host: Annotated[str, typer.Option(help="Where to listen; any but a loopback address needs tokens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one and says which.")] = 8080,
    no_tokens: Annotated[
        bool, typer.Option("--no-tokens", help="Everybody on this machine may do everything.")
    ] = False,
    data: Annotated[list[Path] | None, typer.Option(metavar="DIR", help="Jobs may read files in here.")] = None,
    drivers: Annotated[int, typer.Option(min=0, help="Jobs that run at once here; 0 only answers requests.")] = 1,
    tasks: Annotated[int, typer.Option(min=1, help="Exports and profiles that run at once.")] = 1,
    join: Annotated[
        str | None, typer.Option(metavar="URL", help="Where browsers join, as `nas browser-agent serve` prints it.")
    ] = None,
    address: RayAddress = None,
    name: Annotated[list[str] | None, typer.Option("--name", help="A name under which the service is reached.")] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="A proxy that speaks TLS for us, by address or network; it passes Host on."
        ),
    ] = None,
    allow_code: AllowCode = False,
) -> None:
    """Serve the pages and the API, and run the jobs that are submitted to it."""
    from dashboards.pages.joining import Joining

    with bad_input():
        if no_tokens and not _is_loopback(host):
            raise ValueError(f"--no-tokens is for loopback addresses; {host} can be reached by others")
        if no_tokens and proxy:
            raise ValueError("--no-tokens is for this machine alone, and a --proxy lets others in")
        for address in proxy or ():
            _check_network(address)
        folders = [folder.absolute() for folder in data or ()]
        for folder in folders:
            if not folder.is_dir():
                raise ValueError(f"--data {folder}: there is no such folder")
        joining = None if join is None else Joining(join)
    import uvicorn

    from dashboards.pages.app import add_pages
    from nas.artifacts import artifact_folder
    from nas.service.app import create_app
    from nas.service.logs import set_up_logs
    from nas.service.settings import ServiceSettings
    from storage.service_records import ServiceRecords

    with open_store(store, create=True) as opened:
        if not no_tokens and not any(token.revoked_at is None for token in ServiceRecords(opened).tokens()):
            raise stop("nobody could use the service: make a token with `nas token create NAME --role admin`", 2)
        settings = ServiceSettings(
            store_url=store,
            folder=artifact_folder(store).absolute(),
            tokens=not no_tokens,
            data_folders=folders,
            allow_code=allow_code,
            drivers=drivers,
            tasks=tasks,
            hosts=name or (),
            proxies=proxy or (),
            ray_address=address,
        )
        set_up_logs()
        served = create_app(opened, settings)
        add_pages(served, joining)
        server = uvicorn.Server(
            uvicorn.Config(
                served,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                proxy_headers=False,  # the application believes those of `settings.proxies`
                timeout_graceful_shutdown=_GOODBYE_SECONDS,
            )
        )
        logging.getLogger("uvicorn").propagate = True
        server.run()
        if not server.started:
            raise stop(f"cannot listen on {host}:{port}", 1)


@tokens.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, for listings.")],
    role: Annotated[Role, typer.Option(help="What it allows: read, submit (and read), admin (everything).")],
    store: StoreUrl = Default,
    days: Annotated[float | None, typer.Option(min=0.001, help="How long it lasts; for ever if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once: the store keeps only its hash."""
    from storage.service_records import ServiceRecords

    with open_store(store, create=True) as opened, bad_input():
        lifetime = None if days is None else timedelta(days=days)
        token, text = ServiceRecords(opened).create_token(name, role, lifetime)
    if as_json:
        print_json({"id": token.id, "role": token.role, "expires_at": token.expires_at, "token": text})
    else:
        print(text)


@tokens.command("list")
def list_tokens(store: StoreUrl = Default, as_json: AsJson = False) -> None:
    """List the tokens, newest first, without their texts."""
    from storage.service_records import ServiceRecords

    with open_store(store) as opened:
        found = ServiceRecords(opened).tokens()
    rows = [
        {
            "id": token.id,
            "name": token.name,
            "role": token.role.value,
            "created_at": token.created_at.isoformat(timespec="seconds"),
            "expires_at": token.expires_at and token.expires_at.isoformat(timespec="seconds"),
            "revoked_at": token.revoked_at and token.revoked_at.isoformat(timespec="seconds"),
        }
        for token in found
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, empty="no tokens; `nas token create NAME --role admin` makes one")


@tokens.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="As `nas token list` tells it.")], store: StoreUrl = Default
) -> None:
    """End a token at once and for ever."""
    from storage.service_records import ServiceRecords

    with open_store(store) as opened, bad_input():
        ServiceRecords(opened).revoke_token(token)
    messages.print(f"token {token} is revoked")


def _check_network(address: str) -> None:
    try:
        ipaddress.ip_network(address)
    except ValueError as error:
        raise ValueError(f"--proxy {address}: an address or a network such as 10.0.0.0/24 is needed: {error}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.add_typer(tokens, name="token")
