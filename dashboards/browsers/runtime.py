"""The files of ONNX Runtime Web, from its npm package into a folder of the user; none of them is in this project."""

from pathlib import Path

from dashboards import npm_package
from dashboards.npm_package import PackageError

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

RuntimeFilesError = PackageError
"""The files are not there, or cannot be had."""


def default_folder() -> Path:
    """Where the files are kept: in the user's cache, apart for each version."""
    return npm_package.folder("onnxruntime-web", VERSION)


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
    members = {name: f"package/dist/{name}" for name in FILES}
    npm_package.install("onnxruntime-web", VERSION, INTEGRITY, members, folder, archive)
    return folder


def _missing(folder: Path) -> list[str]:
    return [name for name in FILES if not (folder / name).is_file()]
