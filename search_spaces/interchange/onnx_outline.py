"""An ONNX file without the content of its weights: all that costs and features need, at a fraction of the reading."""

from collections.abc import Iterator

from onnx import GraphProto, ModelProto, TensorProto

from search_spaces.interchange import wire

KEPT_BYTES = 1024
"""Tensors up to this size stay whole: shapes, axes, scales and other small constants that say what a node does."""
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def outline(content: bytes) -> bytes:
    """Copy an ONNX file without the bytes of its large initialisers; their names, types and shapes stay.

    Raises:
        ValueError: not a protocol buffer.
    """
    parts: list[wire.Buffer] = []
    whole = memoryview(content)
    for field, kind, start, body, end in _fields(whole):
        if field == ModelProto.GRAPH_FIELD_NUMBER and kind == _LENGTH:
            parts.append(wire.data(field, _graph(whole[body:end])))
        else:
            parts.append(whole[start:end])
    return b"".join(parts)


def _graph(graph: memoryview) -> bytes:
    parts: list[wire.Buffer] = []
    for field, kind, start, body, end in _fields(graph):
        if field == GraphProto.INITIALIZER_FIELD_NUMBER and kind == _LENGTH and end - body > KEPT_BYTES:
            parts.append(wire.data(field, _tensor(graph[body:end])))
        else:
            parts.append(graph[start:end])
    return b"".join(parts)


def _tensor(tensor: memoryview) -> bytes:
    content = (TensorProto.RAW_DATA_FIELD_NUMBER, TensorProto.FLOAT_DATA_FIELD_NUMBER)
    parts = [
        tensor[start:end]
        for field, kind, start, body, end in _fields(tensor)
        if not (field in content and kind == _LENGTH and end - body > KEPT_BYTES)
    ]
    return b"".join(parts)


def _fields(message: memoryview) -> Iterator[tuple[int, int, int, int, int]]:
    """Number and wire type of each field, where it starts, where its content starts, and where it ends."""
    place, size = 0, len(message)
    while place < size:
        start = place
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == _LENGTH:
            length, place = _varint(message, place)
            end = place + length
        elif kind == _VARINT:
            _, end = _varint(message, place)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            end = place + (8 if kind == _EIGHT_BYTES else 4)
        else:
            raise ValueError(f"not an ONNX model: a field of wire type {kind}")
        if end > size:
            raise ValueError("not an ONNX model: a field is longer than the file")
        yield tag >> 3, kind, start, place, end
        place = end


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number and the place behind it."""
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("not an ONNX model: a number has no end")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
