"""How much a data set may ask for before it is refused."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on untrusted data, all checked before the memory is asked for.

    Attributes:
        file_bytes: size of one file on the disk.
        array_bytes: all arrays of the data set together, in memory.
        files: images in a folder of class folders.
        image_pixels: height times width of one image file.
        classes: class folders, or distinct labels.
        text_bytes: a text, decompressed.
    """

    file_bytes: int = 2 << 30
    array_bytes: int = 4 << 30
    files: int = 1_000_000
    image_pixels: int = 50_000_000
    classes: int = 100_000
    text_bytes: int = 64 << 20


def readable(count: int) -> str:
    """A number of bytes as a person reads it, such as `16.0 GiB`."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"
