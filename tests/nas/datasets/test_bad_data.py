"""Every bad data set answers with one message that names the file, what was found and what is allowed."""

import io
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.datasets.errors import DatasetError
from nas.datasets.limits import Limits
from nas.datasets.load import load_dataset

IMAGES = np.zeros((8, 4, 4, 3), dtype=np.uint8)
LABELS = np.arange(8) % 2


def arrays(**changes: Any) -> dict[str, Any]:
    """The arrays of a good file with some replaced, or removed by None."""
    merged = {"train_images": IMAGES, "train_labels": LABELS, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    """A copy of `array` whose third element is `value`."""
    changed = array.copy()
    changed[2] = value
    return changed


FLOATS = IMAGES.astype(np.float32)
BAD_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({"train_images": None, "train_labels": None}, "no array 'train_images'; the file holds: none"),
    "no images": ({"train_images": None}, "no array 'train_images'; the file holds: train_labels; needed: "),
    "no labels": ({"train_labels": None}, "no array 'train_labels'; the file holds: train_images; needed: "),
    "both namings": ({"images": IMAGES, "labels": LABELS}, "both train_images and images"),
    "half a test": ({"test_images": IMAGES}, "no array 'test_labels'"),
    "object images": ({"train_images": np.array([None] * 8)}, "'train_images' holds Python objects"),
    "object labels": ({"train_labels": np.array([{}] * 8)}, "'train_labels' holds Python objects"),
    "object classes": ({"classes": np.array(["a", None])}, "'classes' holds Python objects"),
    "float labels": ({"train_labels": LABELS / 2}, "'train_labels' has type float64; labels are integers"),
    "bool labels": ({"train_labels": LABELS > 0}, "'train_labels' has type bool; labels are integers"),
    "few labels": ({"train_labels": LABELS[:7]}, "shape (7,); one label for each of 8 images is (8,)"),
    "one-hot labels": ({"train_labels": np.eye(2, dtype=int)[LABELS]}, "shape (8, 2); one label for each"),
    "negative label": (
        {"train_labels": with_value(LABELS, -1)},
        "'train_labels' holds label -1 at position 2; allowed: 0 to 1",
    ),
    "label outside classes": (
        {"train_labels": with_value(LABELS, 2), "classes": np.array(["a", "b"])},
        "'train_labels' holds label 2 at position 2; 'classes' names 2, so allowed: 0 to 1",
    ),
    "too many classes": (
        {"classes": np.array(["a", "b", "c"])},
        "'classes' has 3 names, but array 'train_labels' ends at label 1",
    ),
    "numbered classes": ({"classes": np.arange(2)}, "'classes' has type int64 and shape (2,); allowed: strings"),
    "equal classes": ({"classes": np.array(["a", "a"])}, "class names must differ; given more than once: a"),
    "one class": ({"train_labels": LABELS * 0}, "1 class (0); at least 2 are needed"),
    "huge label": ({"train_labels": with_value(LABELS, 10**15)}, "label 1000000000000000; at most 100000"),
    "unsigned label": ({"train_labels": with_value(LABELS.astype(np.uint64), 2**63)}, "label 9223372036854775808"),
    "lonely class": (
        {"train_labels": np.array([0, 0, 0, 0, 0, 0, 0, 2])},
        "needs at least 2 samples, one to train and one to validate; class '1' has 0, '2' has 1",
    ),
    "test label outside": (
        {"test_images": IMAGES, "test_labels": LABELS + 1},
        "'test_labels' holds label 2 at position 1; allowed: 0 to 1",
    ),
    "other test size": (
        {"test_images": IMAGES[:, :3], "test_labels": LABELS},
        "test_images are uint8 (3, 4, 3), train_images are uint8 (4, 4, 3)",
    ),
    "flat images": ({"train_images": IMAGES.reshape(8, 48)}, "shape (8, 48); images are (N, H, W, C)"),
    "no channel axis": ({"train_images": IMAGES[..., 0]}, "shape (8, 4, 4); images are (N, H, W, C); a grey image"),
    "channels first": (
        {"train_images": np.zeros((8, 3, 32, 32), np.uint8)},
        "shape (8, 3, 32, 32), so 32 channels; images are (N, H, W, C) with 1 to 4; the channels come last",
    ),
    "no pixels": ({"train_images": IMAGES[:, :0]}, "'train_images' is empty: shape (8, 0, 4, 3)"),
    "no samples": ({"train_images": IMAGES[:0], "train_labels": LABELS[:0]}, "is empty: shape (0, 4, 4, 3)"),
    "integer images": (
        {"train_images": IMAGES.astype(int)},
        "'train_images' has type int64; allowed: uint8, float16/32/64",
    ),
    "text images": ({"train_images": IMAGES.astype(str)}, "has type <U3; allowed: uint8"),
    "NaN": (
        {"train_images": with_value(FLOATS, np.nan)},
        "'train_images' holds NaN or infinite values in 1 of 8 images, first in image 2",
    ),
    "too large for float32": (
        {"train_images": with_value(IMAGES.astype(np.float64), 1e300)},
        "holds NaN or infinite values in 1 of 8 images, first in image 2",
    ),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays(case: str, tmp_path: Path) -> None:
    """Archives that NumPy writes, with wrong content."""
    changes, message = BAD_ARRAYS[case]
    path = tmp_path / "data.npz"
    np.savez_compressed(path, **arrays(**changes))
    with pytest.raises(DatasetError, match=re.escape(message)) as error:
        load_dataset(path=path)
    assert str(error.value).startswith(f"{path}: ")


def good_bytes() -> bytes:
    """A good archive whose pixels do not compress away."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, IMAGES.shape, dtype=np.uint8)
    np.savez(buffer, **arrays(train_images=pixels))
    return buffer.getvalue()


def archive_of(name: str, content: bytes) -> bytes:
    """A zip archive with good labels and one member of any content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        labels = io.BytesIO()
        np.save(labels, LABELS)
        file.writestr("train_labels.npy", labels.getvalue())
        file.writestr(name, content)
    return buffer.getvalue()


def npy_header(text: str, version: int = 1) -> bytes:
    """The beginning of a `.npy` file with any header."""
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode()


HUGE = npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000, 3)}")
BAD_FILES = {
    "empty": (b"", "the file is empty"),
    "not an archive": (b"hello" * 100, "not an .npz archive, or a truncated one"),
    "truncated": (good_bytes()[:-200], "not an .npz archive, or a truncated one"),
    "flipped pixels": (good_bytes().replace(good_bytes()[200:204], b"xxxx"), "corrupt"),
    "not an array": (archive_of("train_images.npy", b"text"), "array 'train_images' is corrupt"),
    "header promises more": (
        archive_of("train_images.npy", HUGE + bytes(100)),
        "asks for 2.7 TiB, the archive holds 100 bytes",
    ),
    "header is code": (
        archive_of("train_images.npy", npy_header("__import__('os').abort()")),
        "array 'train_images' is corrupt",
    ),
    "header is unbalanced": (archive_of("train_images.npy", npy_header("{'descr': ((((")), "is corrupt"),
    "long header": (
        archive_of("train_images.npy", npy_header("{}" + " " * 100_000, version=2)),
        "array format 2.0; allowed: 1.0",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(case: str, tmp_path: Path) -> None:
    """Bytes that NumPy would not write."""
    content, message = BAD_FILES[case]
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=re.escape(message)) as error:
        load_dataset(path=path)
    assert str(error.value).startswith(f"{path}: ")


def test_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A small archive of 64 MB of zeros does not pass a limit of 32 MB, and unpacks nothing."""
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, **arrays(train_images=np.zeros((8, 1024, 2048, 4), np.uint8)))
    assert path.stat().st_size < 200_000
    with pytest.raises(DatasetError, match=re.escape("take 64.0 MiB in memory; allowed: 32.0 MiB")):
        load_dataset(path=path, limits=Limits(array_bytes=32 << 20))
    with pytest.raises(DatasetError, match=re.escape("KiB; allowed: 1.0 KiB")):
        load_dataset(path=path, limits=Limits(file_bytes=1024))


def test_random_damage_is_an_error_or_nothing(tmp_path: Path) -> None:
    """A damaged archive never raises anything but DatasetError."""
    rng = np.random.default_rng(0)
    original = np.frombuffer(good_bytes(), dtype=np.uint8)
    refused = 0
    for number in range(200):
        damaged = original.copy()
        damaged[rng.integers(0, len(original), size=3)] = rng.integers(0, 256, size=3)
        path = tmp_path / f"{number}.npz"
        path.write_bytes(damaged.tobytes())
        try:
            load_dataset(path=path)
        except DatasetError:
            refused += 1
    assert refused > 150


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({}, "given by one of name and path"),
    ({"name": "digits", "path": "x.npz"}, "given by one of name and path"),
    ({"name": "digit"}, "'digit' is not a known data set; known: digits"),
    ({"path": "/nowhere/x.npz"}, "/nowhere/x.npz: no such file or folder"),
    ({"path": os.devnull}, f"{os.devnull}: not a data set; allowed: an .npz file, a folder"),
    ({"name": "digits", "validation": 0.0}, "digits: validation 0.0; allowed: a share between 0 and 1"),
    ({"name": "digits", "validation": float("nan")}, "digits: validation nan; allowed"),
    ({"name": "digits", "split_seed": -1}, "digits: split_seed -1; allowed: 0 and above"),
    ({"name": "digits", "image_size": 0}, "digits: image_size 0; allowed: 1 to 4096"),
    ({"name": "digits", "image_size": 16}, "image_size 16, but its images are 8 x 8; only a folder"),
    ({"name": "digits", "limit": 0}, "digits: limit 0"),
    ({"name": "digits", "limit": 19}, "limit 19 with 10 classes; allowed: at least 20"),
]


@pytest.mark.parametrize("options, message", BAD_OPTIONS)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """Options that no data set can follow."""
    with pytest.raises(DatasetError, match=re.escape(message)):
        load_dataset(**options)


def write_images(root: Path, sizes: dict[str, list[tuple[int, int]]], mode: str = "RGB") -> Path:
    """A folder of class folders; `sizes` lists (width, height) of each image."""
    for name, images in sizes.items():
        (root / name).mkdir(parents=True)
        for number, size in enumerate(images):
            Image.new(mode, size, color=number * 40).save(root / name / f"{number}.png")
    return root


TWO = {"cat": [(6, 5)] * 3, "ant": [(6, 5)] * 2}


def test_folder_in_sorted_order(tmp_path: Path) -> None:
    """Classes and files come in the order of their names; other and hidden files are passed over."""
    root = write_images(tmp_path / "images", TWO, mode="L")
    (root / "cat" / "notes.txt").write_text("not an image")
    (root / "cat" / ".hidden.png").write_text("not an image")
    (root / ".cache").mkdir()
    data = load_dataset(path=root)
    assert data.classes == ("ant", "cat")
    assert data.input_shape == (1, 5, 6)
    assert (len(data.train), len(data.validation)) == (3, 2)
    seen = np.concatenate([data.train.images, data.validation.images])[:, 0, 0, 0]
    assert sorted(seen.tolist()) == [0, 0, 40, 40, 80]


def test_folder_of_mixed_colours_and_sizes(tmp_path: Path) -> None:
    """One colour image makes all of them RGB; `image_size` makes all of them square."""
    root = write_images(tmp_path / "images", {"ant": [(6, 5), (9, 9)], "cat": [(4, 4), (3, 8)]}, mode="L")
    Image.new("RGBA", (5, 5), color=(10, 20, 30, 0)).save(root / "cat" / "x.png")
    data = load_dataset(path=root, image_size=4)
    assert data.input_shape == (3, 4, 4)
    pixels = np.concatenate([data.train.images, data.validation.images]).reshape(-1, 3)
    assert [10, 20, 30] in pixels.tolist()


def test_folder_under_a_limit_opens_no_more(tmp_path: Path) -> None:
    """With a limit, files that are not chosen are not read at all."""
    root = write_images(tmp_path / "images", {"ant": [(4, 4)] * 9, "cat": [(4, 4)] * 9})
    chosen = load_dataset(path=root, limit=4)
    assert len(chosen.train) + len(chosen.validation) == 4
    assert chosen.content_hash == load_dataset(path=root, limit=4).content_hash


def _broken(root: Path) -> Path:
    (root / "cat" / "1.png").write_bytes(b"no picture")
    return root / "cat" / "1.png"


def _truncated(root: Path) -> Path:
    path = root / "cat" / "1.png"
    noise = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    return path


def _large(root: Path) -> Path:
    Image.new("1", (12_000, 12_000)).save(root / "cat" / "1.png")
    return root / "cat" / "1.png"


def _deep(root: Path) -> Path:
    Image.new("I;16", (6, 5)).save(root / "cat" / "1.png")
    return root / "cat" / "1.png"


def _mixed(root: Path) -> Path:
    Image.new("RGB", (7, 5)).save(root / "cat" / "1.png")
    return root / "cat" / "1.png"


def _folder_as_image(root: Path) -> Path:
    (root / "cat" / "9.png").mkdir()
    return root / "cat" / "9.png"


def _no_images(root: Path) -> Path:
    (root / "dog").mkdir()
    return root / "dog"


def _lonely(root: Path) -> Path:
    (root / "ant" / "1.png").unlink()
    return root


def _no_classes(root: Path) -> Path:
    return root / "cat"


BAD_FOLDERS: list[tuple[Callable[[Path], Path], str]] = [
    (_broken, "not an image of a known format; allowed: BMP, GIF, JPEG, PNG, PPM, WEBP"),
    (_truncated, "not a readable image: "),
    (_large, "12000 x 12000 pixels; allowed: 50000000 pixels"),
    (_deep, "pixels of mode I;16; allowed: 8 bits a channel"),
    (_mixed, "5 x 7 pixels, but "),
    (_folder_as_image, "not a readable image: not a file"),
    (_no_images, "no images in this class folder; allowed endings: .bmp, .gif"),
    (_lonely, "every class needs at least 2 samples, one to train and one to validate; class 'ant' has 1"),
    (_no_classes, "a folder of images holds one folder for each of at least 2 classes; found none"),
]


@pytest.mark.parametrize("damage, message", BAD_FOLDERS)
def test_bad_folders(damage: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    """One bad file among good ones is named."""
    named = damage(write_images(tmp_path / "images", TWO))
    path = named if damage is _no_classes else tmp_path / "images"
    with pytest.raises(DatasetError, match=re.escape(message)) as error:
        load_dataset(path=path)
    assert str(error.value).startswith(f"{named}: ")


@pytest.mark.parametrize(
    "limits, message",
    [
        (Limits(files=4), "more than the allowed number of images in all class folders"),
        (Limits(classes=1), "more than the allowed number of class folders (at most 1 here)"),
        (Limits(array_bytes=100), "5 images of 5 x 6 take 450 bytes in memory; allowed: 100 bytes"),
        (Limits(image_pixels=10), "5 x 6 pixels; allowed: 10 pixels"),
        (Limits(file_bytes=10), "bytes; allowed: 10 bytes"),
    ],
)
def test_folder_limits(limits: Limits, message: str, tmp_path: Path) -> None:
    """A folder that asks for more than its limits is refused."""
    root = write_images(tmp_path / "images", TWO)
    with pytest.raises(DatasetError, match=re.escape(message)):
        load_dataset(path=root, limits=limits)
