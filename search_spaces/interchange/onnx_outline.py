"""An ONNX file without the content of its weights: all that costs and features need, at a fraction of the reading."""

from collections.abc import Iterator

from onnx import GraphProto, ModelProto, TensorProto

from search_spaces.interchange import wire

KEPT_BYTES = 1024
"""Tensors up to this size stay whole: shapes, axes, scales and other small constants that say what a node does."""
_CONTENT = (TensorProto.RAW_DATA_FIELD_NUMBER, TensorProto.FLOAT_DATA_FIELD_NUMBER)
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def outline(content: bytes) -> bytes:
    """Copy an ONNX file without the bytes of its large initialisers; their names, types and shapes stay.

    Raises:
        ValueError: not a protocol buffer.
    """
    parts: list[wire.Buffer] = []
    for field, kind, start, body, end in _fields(content, 0, len(content)):
        if field == ModelProto.GRAPH_FIELD_NUMBER and kind == _LENGTH:
            parts.append(wire.data(field, _graph(content, body, end)))
        else:
            parts.append(content[start:end])
    return b"".join(parts)


def _graph(content: bytes, first: int, last: int) -> bytes:
    parts: list[wire.Buffer] = []
    copied = first
    for field, kind, start, body, end in _fields(content, first, last):
        if end - body > KEPT_BYTES and field == GraphProto.INITIALIZER_FIELD_NUMBER and kind == _LENGTH:
            parts += content[copied:start], wire.data(field, _tensor(content, body, end))
            copied = end
    return b"".join([*parts, content[copied:last]])


def _tensor(content: bytes, first: int, last: int) -> bytes:
    parts = [
        content[start:end]
        for field, kind, start, body, end in _fields(content, first, last)
        if not (end - body > KEPT_BYTES and field in _CONTENT and kind == _LENGTH)
    ]
    return b"".join(parts)


def _fields(content: bytes, place: int, last: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Number and wire type of each field, where it starts, where its content starts, and where it ends."""
    while place < last:
        start = place
        tag = content[place]  # nearly all numbers have one byte
        place += 1
        if tag > 0x7F:
            tag, place = _varint(content, start, last)
        kind = tag & 7
        if kind == _LENGTH:
            length = content[place] if place < last else 0x80
            place += 1
            if length > 0x7F:
                length, place = _varint(content, place - 1, last)
            end = place + length
        elif kind == _VARINT:
            _, end = _varint(content, place, last)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            end = place + (8 if kind == _EIGHT_BYTES else 4)
        else:
            raise ValueError(f"not an ONNX model: a field of wire type {kind}")
        if end > last:
            raise ValueError("not an ONNX model: a field is longer than the file")
        yield tag >> 3, kind, start, place, end
        place = end


def _varint(content: bytes, place: int, last: int) -> tuple[int, int]:
    """A number and the place behind it."""
    value = shift = 0
    while True:
        if place >= last or shift > 63:
            raise ValueError("not an ONNX model: a number has no end")
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
