"""Job files as plain values: YAML 1.2's core types or JSON, read as untrusted input."""

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from nas.jobspec.errors import JobSpecError, Problem
from nas.jobspec.wording import shown

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_VALUES = 10_000  # counted after aliases are followed

INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NULLS = ("", "~", "null", "Null", "NULL")
BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class DocumentError(Exception):
    """A document that cannot be read; the message is for the user."""


def read_document(path: Path) -> Any:
    """The plain value in a job file: dictionaries with string keys, lists, strings, numbers, booleans, None.

    `.json` is JSON, anything else is YAML. A number may be written `2.0e6`, and `on` or `no` is a string
    (YAML 1.2, other than PyYAML's own reading). Aliases are followed within limits; merge keys and tags are not.

    Raises:
        JobSpecError: no such file, too large, not text, a syntax error, a key given twice, too deep.
    """
    try:
        return parse_text(_text(path), json_format=path.suffix.lower() == ".json")
    except DocumentError as error:
        raise JobSpecError(str(path), [Problem((), str(error))]) from None


def parse_text(text: str, *, json_format: bool = False) -> Any:
    """The plain value in a text; see `read_document`.

    Raises:
        DocumentError: as `read_document` says.
    """
    return _parse_json(text) if json_format else _parse_yaml(text)


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise DocumentError("not a file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise DocumentError("no such file") from error
    except (OSError, ValueError) as error:
        raise DocumentError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > MAX_BYTES:
        raise DocumentError(f"larger than the {MAX_BYTES} bytes that a job file may have")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8 text: byte {error.start} is {content[error.start]:#04x}") from error
    if not text.strip():
        raise DocumentError("the file is empty")
    return text


def _parse_json(text: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise DocumentError(f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise DocumentError(f"nested more than {MAX_DEPTH} deep") from error
    except ValueError as error:
        raise DocumentError(f"not JSON that is allowed here: {error}") from error
    _check_depth(value)
    return value


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DocumentError(f"key {shown(key)} is given twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> float:
    raise DocumentError(f"{name} is not a number that is allowed here")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DocumentError(f"the number {shown(text)} is too large")
    return value


def _check_depth(value: Any) -> None:
    layer, depth = [value], 0
    while layer:
        if (depth := depth + 1) > MAX_DEPTH:
            raise DocumentError(f"nested more than {MAX_DEPTH} deep")
        inside = [item for item in layer if isinstance(item, dict | list)]
        layer = [child for item in inside for child in (item.values() if isinstance(item, dict) else item)]


class _Composer(yaml.SafeLoader):
    """PyYAML's reader of nodes, stopped when it goes too deep or too far."""

    depth = 0
    nodes = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self.depth += 1
        self.nodes += 1
        if self.nodes > 2 * MAX_VALUES:  # keys are nodes too
            raise DocumentError(f"more than {MAX_VALUES} values")
        if self.depth > MAX_DEPTH:
            raise DocumentError(f"nested more than {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


# Plain scalars keep their text: what they mean is decided below and not by YAML 1.1.
_Composer.yaml_implicit_resolvers = {}


def _parse_yaml(text: str) -> Any:
    try:
        loader = _Composer(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{_place(mark)}: " if mark else ""
        raise DocumentError(f"not YAML: {where}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise DocumentError(f"not YAML: {error}") from error
    except (ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF" that is no character
        raise DocumentError(f"not YAML: {error}") from error
    return None if node is None else _Reading().value(node)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


class _Reading:
    """From nodes to values, counting what aliases multiply."""

    def __init__(self) -> None:
        self.values = 0
        self.open: set[int] = set()

    def value(self, node: Node) -> Any:
        self.values += 1
        if self.values > MAX_VALUES:
            raise DocumentError(f"more than {MAX_VALUES} values once its aliases are followed")
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) in self.open:
            raise DocumentError(f"{_place(node.start_mark)}: an alias that contains itself")
        self.open.add(id(node))
        read: Any
        if isinstance(node, MappingNode):
            self._check_tag(node, "map")
            read = self._mapping(node)
        else:
            self._check_tag(node, "seq")
            assert isinstance(node, SequenceNode)
            read = [self.value(child) for child in node.value]
        self.open.remove(id(node))
        return read

    def _mapping(self, node: MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise DocumentError(f"{_place(key_node.start_mark)}: a key must be a word, not a list or a mapping")
            key: str = key_node.value
            if key in found:
                raise DocumentError(f"{_place(key_node.start_mark)}: key {shown(key)} is given twice")
            found[key] = self.value(value_node)
        return found

    def _scalar(self, node: ScalarNode) -> Any:
        self._check_tag(node, "str")
        text: str = node.value
        if node.style is not None:  # quoted, or a block of text
            return text
        if text in NULLS:
            return None
        if text in BOOLEANS:
            return BOOLEANS[text]
        if INTEGER.fullmatch(text):
            return int(text)
        if FLOAT.fullmatch(text):
            try:
                return _finite(text)
            except DocumentError as error:
                raise DocumentError(f"{_place(node.start_mark)}: {error}") from None
        return text

    @staticmethod
    def _check_tag(node: Node, kind: str) -> None:
        if node.tag not in (f"tag:yaml.org,2002:{kind}", None):
            raise DocumentError(
                f"{_place(node.start_mark)}: tag {shown(node.tag)} is not allowed; write the plain value"
            )
