"""The files of ONNX Runtime Web, from its npm package into a folder of the user; none of them is in this project."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "1.30.0"

INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package, as the npm registry publishes it (Subresource Integrity)."""

FILES = {
    "ort.wasm.min.mjs": "text/javascript",
    "ort-wasm-simd-threaded.mjs": "text/javascript",
    "ort-wasm-simd-threaded.wasm": "application/wasm",
    "ort.webgpu.min.mjs": "text/javascript",
    "ort-wasm-simd-threaded.asyncify.mjs": "text/javascript",
    "ort-wasm-simd-threaded.asyncify.wasm": "application/wasm",
}
"""What is used of the package, with its media types: WebAssembly alone, and with WebGPU."""

_FETCH_S = 600.0


class RuntimeFilesError(RuntimeError):
    """The files are not there, or cannot be had."""


def default_folder() -> Path:
    """Where the files are kept: in the user's cache, apart for each version."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "nas-service" / f"onnxruntime-web-{VERSION}"


def is_there(folder: Path | None = None) -> bool:
    """Whether the files are in a folder, or where they are kept."""
    return not _missing(folder or default_folder())


def find(folder: Path | None = None) -> Path:
    """The folder with the files.

    Raises:
        RuntimeFilesError: they are not there.
    """
    folder = folder or default_folder()
    if missing := _missing(folder):
        raise RuntimeFilesError(
            f"{folder} lacks {', '.join(missing)} of onnxruntime-web {VERSION}; run `nas browser-agent install`"
        )
    return folder


def install(folder: Path | None = None, archive: Path | None = None) -> Path:
    """Fetch the package with npm, check it, and unpack what is used.

    Args:
        folder: where to; `default_folder` if not given.
        archive: the package, `onnxruntime-web-VERSION.tgz`, where it has been fetched by other means.

    Returns:
        The folder.

    Raises:
        RuntimeFilesError: npm is missing or fails, or the package is not the one that is expected.
        OSError: the folder cannot be written.
    """
    folder = folder or default_folder()
    with tempfile.TemporaryDirectory() as scratch:
        package = archive or _fetched(Path(scratch))
        found = "sha512-" + base64.b64encode(_sha512(package)).decode()
        if found != INTEGRITY:
            raise RuntimeFilesError(f"{package.name} is not onnxruntime-web {VERSION}: {found}, expected {INTEGRITY}")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(package) as opened:
            for name in FILES:
                _unpack(opened, name, folder / name)
    return folder


def _missing(folder: Path) -> list[str]:
    return [name for name in FILES if not (folder / name).is_file()]


def _fetched(scratch: Path) -> Path:
    """The package, fetched by npm."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeFilesError(
            f"npm is not installed, which fetches onnxruntime-web {VERSION}; install Node.js, or fetch the package "
            "elsewhere (`npm pack`) and name it with --archive"
        )
    command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--silent", "--pack-destination", str(scratch)]
    try:
        ran = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=_FETCH_S)
    except subprocess.TimeoutExpired:
        raise RuntimeFilesError(f"npm did not fetch onnxruntime-web {VERSION} within {_FETCH_S:g} s") from None
    packages = list(scratch.glob("*.tgz"))
    if ran.returncode or not packages:
        raise RuntimeFilesError(f"npm cannot fetch onnxruntime-web {VERSION}: {ran.stderr.strip()[-1000:]}")
    return packages[0]


def _sha512(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha512").digest()


def _unpack(package: tarfile.TarFile, name: str, place: Path) -> None:
    """Write one file; who reads the folder meanwhile sees all of it or none."""
    content = package.extractfile(f"package/dist/{name}")
    assert content is not None, name  # the package is the one that is expected
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as written:
        shutil.copyfileobj(content, written)
    os.chmod(written.name, 0o644)  # noqa: PTH101 - it is a name and no path
    os.replace(written.name, place)  # noqa: PTH105 - the same
