"""The pictures of the README, from those that the tests of pages took; `make screenshots` takes and keeps them."""

from pathlib import Path

from looked_at import SHOTS
from PIL import Image

KEPT = ("job", "network", "compare")
PLACE = Path(__file__).parents[1] / "dashboards" / "screenshots"
MOST_BYTES = 150_000
COLOURS = 256


def keep(name: str) -> None:
    """Keep a picture with few colours, which pages have, as a small file."""
    PLACE.mkdir(exist_ok=True)
    file = PLACE / f"{name}.png"
    with Image.open(SHOTS / f"{name}.png") as taken:
        few = taken.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(file, optimize=True)
    size = file.stat().st_size
    assert size < MOST_BYTES, f"{file} has {size:,} bytes; allowed: fewer than {MOST_BYTES:,}"
    print(f"{file}: {size:,} bytes")


if __name__ == "__main__":
    for each in KEPT:
        keep(each)
