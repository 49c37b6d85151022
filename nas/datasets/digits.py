"""The embedded default: 1,797 handwritten digits of 8 x 8 pixels that ship with scikit-learn."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nas.datasets.raw import RawData

_FILE = "datasets/data/digits.csv.gz"


def read_digits() -> RawData:
    """Images (1797, 8, 8, 1) uint8 in 0 to 16, labels 0 to 9 (Alpaydin and Kaynak, 1998, UCI).

    They are read from scikit-learn's file: to ask its function for them is to import all of it, which takes a second.
    """
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    rows = np.loadtxt(Path(package.origin).parent / _FILE, dtype=np.uint8, delimiter=",", converters=float)
    return RawData(
        source="digits",
        images=np.ascontiguousarray(rows[:, :-1]).reshape(-1, 8, 8, 1),
        labels=rows[:, -1].astype(np.int64),
        classes=tuple(str(digit) for digit in range(10)),
    )
