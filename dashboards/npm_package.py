"""Files of npm packages, fetched into a folder of the user; none of them is in this project."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

_FETCH_S = 600.0


class PackageError(RuntimeError):
    """The files of a package are not there, or cannot be had."""


def folder(package: str, version: str) -> Path:
    """Where the files of a package are kept: in the user's cache, apart for each version."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "nas-service" / f"{package}-{version}"


def install(
    package: str, version: str, integrity: str, members: Mapping[str, str], place: Path, archive: Path | None = None
) -> None:
    """Fetch a package with npm, check it, and unpack what is used.

    Args:
        package: its name.
        version: of it.
        integrity: of the package, as the npm registry publishes it (Subresource Integrity).
        members: file name -> place in the package.
        place: folder where the files go.
        archive: the package where it has been fetched by other means.

    Raises:
        PackageError: npm is missing or fails, or the package is not the one that is expected.
        OSError: the folder cannot be written.
    """
    with tempfile.TemporaryDirectory() as scratch:
        fetched = archive or _fetched(package, version, Path(scratch))
        found = "sha512-" + base64.b64encode(_sha512(fetched)).decode()
        if found != integrity:
            raise PackageError(f"{fetched.name} is not {package} {version}: {found}, expected {integrity}")
        place.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fetched) as opened:
            for name, member in members.items():
                _unpack(opened, member, place / name)


def _fetched(package: str, version: str, scratch: Path) -> Path:
    """The package, fetched by npm."""
    npm = shutil.which("npm")
    if npm is None:
        raise PackageError(
            f"npm is not installed, which fetches {package} {version}; install Node.js, or fetch the package "
            "elsewhere (`npm pack`) and name it with --archive"
        )
    command = [npm, "pack", f"{package}@{version}", "--silent", "--pack-destination", str(scratch)]
    try:
        ran = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=_FETCH_S)
    except subprocess.TimeoutExpired:
        raise PackageError(f"npm did not fetch {package} {version} within {_FETCH_S:g} s") from None
    packages = list(scratch.glob("*.tgz"))
    if ran.returncode or not packages:
        raise PackageError(f"npm cannot fetch {package} {version}: {ran.stderr.strip()[-1000:]}")
    return packages[0]


def _sha512(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha512").digest()


def _unpack(package: tarfile.TarFile, member: str, place: Path) -> None:
    """Write one file; who reads the folder meanwhile sees all of it or none."""
    content = package.extractfile(member)
    assert content is not None, member  # the package is the one that is expected
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as written:
        shutil.copyfileobj(content, written)
    os.chmod(written.name, 0o644)  # noqa: PTH101 - it is a name and no path
    os.replace(written.name, place)  # noqa: PTH105 - the same
