"""The published notation of DARTS cells: `Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), ...)`.

Read as data and never evaluated.
"""

import ast
from typing import Any, NamedTuple

LONGEST = 10_000
"""Characters."""


class CellPair(NamedTuple):
    """Both cells as they are published: two (operation, source) pairs for each node, and the nodes of the output."""

    normal: tuple[tuple[str, int], ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[tuple[str, int], ...]
    reduce_concat: tuple[int, ...]

    def __str__(self) -> str:
        concats = [f"range({nodes[0]}, {nodes[-1] + 1})" for nodes in (self.normal_concat, self.reduce_concat)]
        return (
            f"Genotype(normal={list(self.normal)}, normal_concat={concats[0]}, "
            f"reduce={list(self.reduce)}, reduce_concat={concats[1]})"
        )


def parse(text: str) -> CellPair:
    """Read the notation; `NAME = Genotype(...)` is read as well.

    Raises:
        ValueError: anything else, or more than 10,000 characters.
    """
    if len(text) > LONGEST:
        raise ValueError(f"a genotype has at most {LONGEST} characters, got {len(text)}")
    try:
        return _read(text.strip())
    except (RecursionError, MemoryError) as error:
        raise ValueError("a genotype is not nested as deeply as this text") from error


def _read(text: str) -> CellPair:
    try:
        (statement,) = ast.parse(text).body
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"not one expression Genotype(...): {error}") from error
    call = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "Genotype":
        raise ValueError(f"expected Genotype(normal=..., ...), got {text[:80]!r}")
    fields: dict[str | None, ast.expr] = dict(zip(CellPair._fields, call.args, strict=False))
    fields.update({keyword.arg: keyword.value for keyword in call.keywords})
    if set(fields) != set(CellPair._fields) or len(call.args) + len(call.keywords) != len(CellPair._fields):
        raise ValueError(f"Genotype needs {', '.join(CellPair._fields)}, each once, got {ast.unparse(call)[:200]!r}")
    return CellPair(
        _edges("normal", fields["normal"]),
        _nodes("normal_concat", fields["normal_concat"]),
        _edges("reduce", fields["reduce"]),
        _nodes("reduce_concat", fields["reduce_concat"]),
    )


def _edges(name: str, written: ast.expr) -> tuple[tuple[str, int], ...]:
    value = _literal(name, written)
    for edge in value:
        if not isinstance(edge, tuple) or [type(part) for part in edge] != [str, int]:
            raise ValueError(f"{name} must be a list of pairs such as ('sep_conv_3x3', 1), got {edge!r} in it")
    return tuple(value)


def _nodes(name: str, written: ast.expr) -> tuple[int, ...]:
    if isinstance(written, ast.Call) and isinstance(written.func, ast.Name) and written.func.id == "range":
        bounds = [_number(name, bound) for bound in written.args]
        if len(bounds) not in (1, 2) or written.keywords or bounds[-1] > LONGEST:
            raise ValueError(f"{name} must be a small range or a list of nodes, got {ast.unparse(written)!r}")
        return tuple(range(*bounds))
    value = _literal(name, written)
    if not value or any(type(node) is not int for node in value):
        raise ValueError(f"{name} must be a range or a list of nodes, got {ast.unparse(written)[:200]!r}")
    return tuple(value)


def _number(name: str, written: ast.expr) -> int:
    if not isinstance(written, ast.Constant) or type(written.value) is not int:
        raise ValueError(f"the range of {name} must have whole numbers, got {ast.unparse(written)[:200]!r}")
    return written.value


def _literal(name: str, written: ast.expr) -> list[Any] | tuple[Any, ...]:
    try:
        value = ast.literal_eval(written)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} must be a list, got {ast.unparse(written)[:200]!r}") from error
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a list, got {value!r}")
    return value
