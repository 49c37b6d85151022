"""The files of ONNX Runtime Web: only the package that is expected, and only what is used of it."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dashboards.browsers import runtime
from dashboards.browsers.runtime import FILES, RuntimeFilesError
from nas.cli.main import app


def package(path: Path) -> str:
    """A package with the files that are used and one that is not; its integrity."""
    with tarfile.open(path, "w:gz") as written:
        for name in (*FILES, "more.js"):
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(name)
            written.addfile(entry, io.BytesIO(name.encode()))
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def test_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that are used are unpacked, readable and whole, and nothing else."""
    archive, folder = tmp_path / "package.tgz", tmp_path / "cache" / "files"
    monkeypatch.setattr(runtime, "INTEGRITY", package(archive))
    ran = CliRunner().invoke(app, ["browser-agent", "install", "--archive", str(archive), "--folder", str(folder)])
    assert ran.exit_code == 0, ran.output
    assert {path.name: path.read_text() for path in folder.iterdir()} == {name: name for name in FILES}
    assert runtime.find(folder) == folder


def test_another_package(tmp_path: Path) -> None:
    """A package with another hash is refused, and nothing is unpacked."""
    archive = tmp_path / "package.tgz"
    found = package(archive)
    ran = CliRunner().invoke(app, ["browser-agent", "install", "--archive", str(archive), "--folder", str(tmp_path)])
    assert ran.exit_code == 1
    assert f"is not onnxruntime-web {runtime.VERSION}: {found}" in "".join(ran.stderr.split("\n"))
    assert list(tmp_path.iterdir()) == [archive]


def test_without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no npm, or it fails, the message says what to do or what it said."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeFilesError, match="npm is not installed"):
        runtime.install(tmp_path / "files")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no such host >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(RuntimeFilesError, match=r"npm cannot fetch onnxruntime-web .*: no such host"):
        runtime.install(tmp_path / "files")


@pytest.mark.parametrize(
    "options, message",
    [
        (["--folder", "{tmp}"], "run `nas browser-agent install`"),
        (["--page", "nowhere"], "address must be HOST:PORT"),
        (["--code", "short"], "a join code has 6 to 64 letters and digits"),
        (["--tls-cert", "cert.pem"], "--tls-cert and --tls-key belong together"),
        (["--max-wall-s", "0"], "limit wall_s must be a positive number"),
    ],
)
def test_service_that_cannot_start(tmp_path: Path, options: list[str], message: str) -> None:
    """Nothing is served when an option is wrong or files are missing."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef")
    given = [option.replace("{tmp}", str(tmp_path)) for option in options]
    ran = CliRunner().invoke(app, ["browser-agent", "serve", "--token-file", str(token), *given])
    assert ran.exit_code in (1, 2)
    assert message in " ".join(ran.stderr.split())
