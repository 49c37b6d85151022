"""The remote agent: makes this machine a device, as `nas agent` or `python -m profilers.agent`.

It needs numpy, onnx, onnxruntime and psutil, and neither torch nor Ray nor a database.
"""

import argparse
import signal
import ssl
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

from profilers.address import read_address
from profilers.agent_bench import Bench
from profilers.agent_server import AgentServer, only
from profilers.agent_token import read_token
from profilers.device import name_problems
from profilers.errors import DeviceRefused
from profilers.host import HostDevice, cpu_model
from profilers.limits import Limits

DEFAULT_ADDRESS = "127.0.0.1:7411"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted.

    Args:
        arguments: of the command line; those of this process if not given.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        server, bench = _opened(given)
    except (ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with closing(bench), server:
        print(f"agent {given.name} serves {server.address}: {cpu_model()}, {given.threads} threads", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("agent ends", file=sys.stderr)


def _opened(given: argparse.Namespace) -> tuple[AgentServer, Bench]:
    """The server of these arguments, listening.

    Raises:
        ValueError: an argument is wrong.
        OSError: a file cannot be read, or the address cannot be listened on.
    """
    if problems := name_problems(given.name):
        raise DeviceRefused(problems)
    settings = {key: getattr(given, key) for key in _settings()}
    device = HostDevice(name=given.name, **settings)
    limits = Limits(**{field.name: getattr(given, f"max_{field.name}") for field in fields(Limits)})
    token = read_token(given.token_file, given.token_env)
    tls = tls_of(given.tls_cert, given.tls_key)
    bench = Bench(device, limits)
    return AgentServer(read_address(given.serve), only(bench, given.name), token, tls), bench


def tls_of(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """TLS with these files, or none at all.

    Raises:
        ValueError: one of the two is missing.
        OSError: they cannot be read, or do not belong together.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ValueError("--tls-cert and --tls-key belong together; one of them is missing")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise OSError(f"TLS cannot be had with {certificate} and {key}: {error}") from None
    return context


def _settings() -> dict[str, Any]:
    """The settings of a host device and their defaults."""
    return {field.name: field.default for field in fields(HostDevice) if field.name != "name"}


def _parser() -> argparse.ArgumentParser:
    """What the command line may say; settings and limits are those of the classes."""
    parser = argparse.ArgumentParser(
        prog="nas agent",
        allow_abbrev=False,
        description="Serve this machine as a device for jobs elsewhere: {kind: remote, address: HOST:PORT}.",
    )
    parser.add_argument(
        "--serve", metavar="HOST:PORT", default=DEFAULT_ADDRESS, help="where to listen (default: %(default)s)"
    )
    parser.add_argument("--name", required=True, help="what this device is called; a part of what tells it from others")
    secret = parser.add_mutually_exclusive_group(required=True)
    secret.add_argument("--token-file", metavar="FILE", help="the secret that clients must know, in a private file")
    secret.add_argument("--token-env", metavar="NAME", help="or in an environment variable")
    parser.add_argument("--tls-cert", metavar="FILE", type=Path, help="certificate for encrypted connections (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", type=Path, help="its private key (PEM)")
    settings = parser.add_argument_group("how models are run")
    for name, default in _settings().items():
        settings.add_argument(f"--{name}", type=type(default), default=default, help="default: %(default)s")
    limits = parser.add_argument_group("what a model may use, in bytes and seconds")
    for field in fields(Limits):
        option = f"--max-{field.name.replace('_', '-')}"
        limits.add_argument(option, type=type(field.default), default=field.default, help="default: %(default)s")
    return parser


if __name__ == "__main__":
    main()
