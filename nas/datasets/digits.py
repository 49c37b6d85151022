"""The embedded default: 1,797 handwritten digits of 8 x 8 pixels that ship with scikit-learn."""

import numpy as np

from nas.datasets.raw import RawData


def read_digits() -> RawData:
    """Images (1797, 8, 8, 1) uint8 in 0 to 16, labels 0 to 9 (Alpaydin and Kaynak, 1998, UCI)."""
    from sklearn.datasets import load_digits  # a second of imports that only this data set needs

    digits = load_digits()
    return RawData(
        source="digits",
        images=digits.images[..., None].astype(np.uint8),
        labels=digits.target.astype(np.int64),
        classes=tuple(str(name) for name in digits.target_names),
    )
