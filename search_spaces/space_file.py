"""Search spaces that a user's Python file defines.

The file is code of whoever wrote it, and reading its spaces runs it: callers ask for permission first. It travels as
text and becomes a module where the space is needed, so it must be whole in itself: it imports what is installed, and
no other file beside it.
"""

import hashlib
import importlib.util
import inspect
import linecache
import sys
import traceback
from importlib.abc import InspectLoader
from pathlib import Path
from types import CodeType, ModuleType

from search_spaces.space import SearchSpace

LARGEST_FILE = 1 << 20


class SpaceFileError(ValueError):
    """A file that defines no usable space; the message says where it breaks."""


class _Text(InspectLoader):
    """Makes a module of a text that need not lie on this machine."""

    def __init__(self, code: str, file: str) -> None:
        self._code = code
        self._file = file

    def get_source(self, fullname: str) -> str:
        """The text."""
        return self._code

    def get_code(self, fullname: str) -> CodeType:
        """The compiled text; a traceback shows the file's name."""
        return self.source_to_code(self._code, self._file)


def read_code(path: Path) -> str:
    """The text of a Python file; nothing of it is run.

    Raises:
        SpaceFileError: no such file, too large, or not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            raise SpaceFileError(f"{path}: not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, SpaceFileError):
            raise
        raise SpaceFileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > LARGEST_FILE:
        raise SpaceFileError(f"{path}: larger than the {LARGEST_FILE} bytes that a file with spaces may have")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise SpaceFileError(f"{path}: not UTF-8 text: byte {error.start} is {content[error.start]:#04x}") from error


def code_hash(code: str) -> str:
    """The SHA-256 of a file's text, 64 hex digits."""
    return hashlib.sha256(code.encode()).hexdigest()


def spaces_in(code: str, file: str) -> dict[str, type[SearchSpace]]:
    """Run a Python text, once in a process, and return the spaces that it defines, by name.

    Args:
        code: the text.
        file: what to call it in messages and tracebacks.

    Raises:
        SpaceFileError: the text breaks when it is run, or defines no space that can be made.
    """
    name = f"nas_space_file_{code_hash(code)[:16]}"
    if name not in sys.modules:
        specification = importlib.util.spec_from_loader(name, _Text(code, file), origin=file)
        assert specification is not None
        module = importlib.util.module_from_spec(specification)
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)  # for tracebacks
        sys.modules[name] = module
        try:
            assert specification.loader is not None
            specification.loader.exec_module(module)
        except Exception as error:  # whatever the user's code raises
            del sys.modules[name]
            raise SpaceFileError(f"{file}: {told(error, file)}") from error
    found = _spaces(sys.modules[name])
    if not found:
        raise SpaceFileError(
            f"{file}: defines no search space; one is a class of SearchSpace or ModuleSpace with a `name` of its own "
            f"and every abstract method written"
        )
    return found


def told(error: BaseException, file: str) -> str:
    """What went wrong in a user's file, with the line of that file where it did."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {error}"


def _spaces(module: ModuleType) -> dict[str, type[SearchSpace]]:
    return {
        kind.name: kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, SearchSpace)
        and kind.__module__ == module.__name__
        and not inspect.isabstract(kind)
        and isinstance(getattr(kind, "name", None), str)
    }
