"""When two graphs are the same network.

Two graphs are the same when they compute the same functions of independently trained parameters and only their
writing differs: names, the order of nodes, dead nodes, `Identity`, attributes that say what is the default,
operands of `Add` and `Mul` in another order or grouping, an operator without parameters of its own written twice.

The hash is structural: every node gets a digest of all it is computed from, then one of all that is computed from
it, and the network is the multiset of these. Parameters enter by role and shape, and by who shares them.
"""

from collections import Counter
from collections.abc import Hashable
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from onnx.defs import SchemaError, get_schema
from onnx.helper import get_attribute_value

from search_spaces.folding import live_nodes
from search_spaces.graph import Graph, Node
from search_spaces.operators import OPERATORS

_SLOTS = 16
"""A value that a unit makes is `unit << _SLOTS | output`; a leaf is a negative number."""
_MISSING = -1
_REPEATED = 64
"""A sum that is added to itself is written out up to this many terms; doubling again and again would take for ever."""


class _Unit(NamedTuple):
    """A node after equal ones were merged: what it does, the values it reads, whether their order matters."""

    signature: bytes
    reads: tuple[int, ...]
    commutative: bool


class _Network:
    """The units of a graph, and the digests of its leaves: inputs, parameters, constants.

    Attributes:
        units: None where one became part of another.
        outputs: the values that are the graph's outputs.
        leaves: digests; that of leaf -k is `leaves[-k]`.
        shared: the leaves that are parameters with several readers.
    """

    def __init__(self, graph: Graph) -> None:
        self.leaves = [b"", _leaf("missing", 0, (), "")]
        self.parameters: list[int] = []
        self.numbers = {"": _MISSING}
        self.units: list[_Unit | None] = []
        for place, value in enumerate(graph.inputs):
            self.numbers[value.name] = self._add(_leaf("input", place, value.shape, value.dtype))
        self._read_nodes(graph)
        self.outputs = [self._number(graph, value.name) for value in graph.outputs]
        readers = Counter(chain.from_iterable([unit.reads for unit in self.units if unit]))
        readers.update(self.outputs)
        self.shared = {number for number in self.parameters if readers[number] > 1}
        self._regroup(readers)

    def _add(self, digest: bytes) -> int:
        self.leaves.append(digest)
        return 1 - len(self.leaves)

    def _number(self, graph: Graph, name: str) -> int:
        """The number of a value; parameters and constants get theirs here."""
        if name in self.numbers:
            return self.numbers[name]
        parameter = graph.parameters.get(name)
        if parameter is not None:
            number = self._add(_leaf("parameter", parameter.role, parameter.shape, parameter.dtype))
            self.parameters.append(number)
        else:
            value = graph.values[name]
            assert value.data is not None
            digest = _leaf("constant", value.data.tobytes(), value.shape, value.dtype)
            number = -self.leaves.index(digest) if digest in self.leaves else self._add(digest)
        self.numbers[name] = number
        return number

    def _read_nodes(self, graph: Graph) -> None:
        known: dict[_Unit, int] = {}
        numbers = self.numbers
        for node in live_nodes(graph):
            reads = [numbers[name] if name in numbers else self._number(graph, name) for name in node.inputs]
            if node.op == "Identity":
                self.numbers[node.outputs[0]] = reads[0]
                continue
            while reads and reads[-1] == _MISSING:
                reads.pop()
            operator = OPERATORS.get(node.op)
            commutative = operator is not None and operator.commutative
            if commutative:
                reads.sort()
            unit = _Unit(_signature_of(graph, node), tuple(reads), commutative)
            index = known.setdefault(unit, len(self.units))
            if index == len(self.units):
                self.units.append(unit)
            for slot, name in enumerate(node.outputs):
                self.numbers[name] = index << _SLOTS | slot

    def _regroup(self, readers: Counter[int]) -> None:
        """(a + b) + c and a + (b + c) become one sum, where nobody else reads the sum inside."""
        for index, unit in enumerate(self.units):
            if unit is None or not unit.commutative:
                continue
            terms: list[int] = []
            absorbed: set[int] = set()
            for number in unit.reads:
                times = unit.reads.count(number)
                inner = self.units[number >> _SLOTS] if number >= 0 and readers[number] == times else None
                if (
                    inner is not None
                    and inner.commutative
                    and inner.signature == unit.signature
                    and (times == 1 or times * len(inner.reads) <= _REPEATED)
                ):
                    terms += inner.reads
                    absorbed.add(number >> _SLOTS)
                else:
                    terms.append(number)
            for number in absorbed:
                self.units[number] = None
            self.units[index] = unit._replace(reads=tuple(terms))


def graph_hash(graph: Graph) -> str:
    """The canonical hash of a network, 64 hexadecimal digits.

    Equal for two graphs of the same network in the sense of this module. Different networks have different
    hashes but for structures that neighbourhoods alone do not tell apart, which no known space contains.
    """
    network = _Network(graph)
    forward = _forward(network)
    readers: dict[int, list[bytes]] = {}
    for place, number in enumerate(network.outputs):
        readers.setdefault(number >> _SLOTS, []).append(b"output%d" % place + _slot(number))
    ties: dict[int, list[bytes]] = {}
    digests = []
    for index in range(len(network.units) - 1, -1, -1):
        unit = network.units[index]
        if unit is None:
            continue
        digest = _digest([forward[index], *sorted(readers.get(index, ()))])
        digests.append(digest)
        for place, number in enumerate(unit.reads):
            if number >= 0:
                reader = digest + _place(unit, place) + _slot(number)
                readers.setdefault(number >> _SLOTS, []).append(reader)
            elif number in network.shared:
                ties.setdefault(number, []).append(digest + _place(unit, place))
    tied = [_digest(sorted(found)) for found in ties.values()]
    ends = [network.leaves[-number] if number < 0 else b"" for number in network.outputs]
    total = blake2b(digest_size=32)
    for group in (sorted(digests), sorted(tied), ends):
        total.update(b"%d:" % len(group) + b"".join(group))
    return total.hexdigest()


def _forward(network: _Network) -> list[bytes]:
    """For every unit the digest of all that it is computed from; empty for those that became part of others."""
    forward: list[bytes] = []
    leaves = network.leaves
    for unit in network.units:
        if unit is None:
            forward.append(b"")
            continue
        reads = unit.reads
        digests = [leaves[-n] if n < 0 else forward[n >> _SLOTS] + _slot(n) for n in reads]
        if len(reads) > 1 and len(set(reads)) < len(reads):  # it matters which operands are one and the same value
            same = reads.count if unit.commutative else reads.index
            digests = [digest + b"@%d" % same(number) for digest, number in zip(digests, reads, strict=True)]
        if unit.commutative:
            digests.sort()
        forward.append(_digest([unit.signature, *digests]))
    return forward


def _place(unit: _Unit, place: int) -> bytes:
    return b"*" if unit.commutative else b"%d" % place


def _slot(number: int) -> bytes:
    """Which output of its unit a value is, for those that are not the first."""
    slot = number & (1 << _SLOTS) - 1
    return b".%d" % slot if slot else b""


def _digest(parts: list[bytes]) -> bytes:
    return blake2b(b"|".join(parts), digest_size=16).digest()


@lru_cache(maxsize=4096)
def _leaf(kind: str, what: Hashable, shape: tuple[int, ...], dtype: str) -> bytes:
    return _digest([repr((kind, what, shape, dtype)).encode()])


def _signature_of(graph: Graph, node: Node) -> bytes:
    rank = len(graph.values[node.inputs[0]].shape) if node.inputs and node.inputs[0] else 0
    items = [(key, tuple(item) if isinstance(item, list) else item) for key, item in node.attributes.items()]
    return _signature(node.op, tuple(items), rank)


@lru_cache(maxsize=4096)
def _signature(op: str, attributes: tuple[tuple[str, Any], ...], rank: int) -> bytes:
    """An operator with its attributes, written in one way."""
    defaults = _defaults(op)
    said = []
    for name, value in sorted(attributes):
        plain = _plain(name, value, rank)
        if plain != _plain(name, defaults.get(name), rank) and not _implied(op, name, plain, rank):
            said.append((name, plain))
    return repr((op, said)).encode()


def _plain(name: str, value: Any, rank: int) -> Any:
    """A value as a file would hold it, an axis counted from the front."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float):
        return float(np.float32(value))
    if isinstance(value, list | tuple):
        return tuple([_plain("", item, rank) for item in value])
    if name == "axis" and isinstance(value, int) and value < 0:
        return value + rank
    return int(value) if isinstance(value, bool) else value


def _implied(op: str, name: str, value: Any, rank: int) -> bool:
    """Whether leaving the attribute out says the same, or it plays no role in what is computed."""
    if name in ("strides", "dilations"):
        return set(value) == {1}
    if name == "pads":
        return set(value) == {0}
    if name == "perm":
        return bool(value == tuple(reversed(range(rank))))
    return name == "momentum" or (name == "kernel_shape" and op == "Conv")


@lru_cache
def _defaults(op: str) -> dict[str, Any]:
    try:
        attributes = get_schema(op).attributes
    except SchemaError:
        return {}
    return {
        name: get_attribute_value(attribute.default_value)
        for name, attribute in attributes.items()
        if attribute.default_value.name
    }
