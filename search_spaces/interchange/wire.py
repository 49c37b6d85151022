"""The protocol-buffer wire format, as far as writing an ONNX file needs it.

Python's protobuf copies a tensor three times on its way into a file. A message is a list of buffers here, and a
tensor's memory is one of them, so that everything is copied once, when the buffers are joined.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

Buffer = bytes | memoryview
VARINT, LENGTH_DELIMITED, FIXED32 = 0, 2, 5


def varint(number: int) -> bytes:
    """A whole number in base 128; a negative one as its 64-bit two's complement."""
    if 0 <= number < 128:
        return bytes((number,))
    number &= (1 << 64) - 1
    digits = bytearray()
    while number >= 128:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


@lru_cache
def tag(field: int, kind: int) -> bytes:
    """What stands before the content of a field."""
    return varint(field << 3 | kind)


def integer(field: int, number: int) -> bytes:
    """A field that holds a whole number or an enumeration."""
    return tag(field, VARINT) + varint(number)


def integers(field: int, numbers: Iterable[int]) -> bytes:
    """A repeated field of whole numbers, packed."""
    return data(field, b"".join([varint(number) for number in numbers]))


def data(field: int, content: bytes) -> bytes:
    """A field that holds bytes or a message that is already one buffer."""
    return tag(field, LENGTH_DELIMITED) + varint(len(content)) + content


@lru_cache(maxsize=16384)
def text(field: int, content: str) -> bytes:
    """A field that holds a string; kept, for the names of a space come up in all of its networks."""
    return data(field, content.encode())


def message(field: int, buffers: Sequence[Buffer]) -> list[Buffer]:
    """A field that holds a message of several buffers, which are not copied."""
    size = sum([len(buffer) for buffer in buffers])
    return [tag(field, LENGTH_DELIMITED) + varint(size), *buffers]
