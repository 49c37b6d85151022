"""Spaces in Python files: made from text alone, and what is wrong with one named with its line."""

from pathlib import Path

import numpy as np
import pytest

from search_spaces.recipe import SpaceRecipe
from search_spaces.space_file import SpaceFileError, code_hash, read_code, spaces_in

EXAMPLES = Path(__file__).parents[2] / "examples"
HEAD = "from search_spaces.space import SearchSpace\nfrom search_spaces.decision import Decision\n"


def test_a_space_from_text() -> None:
    """The example is made with other settings; its networks have the costs of their graphs."""
    recipe = SpaceRecipe("my_space", {"blocks": 2}, read_code(EXAMPLES / "my_space.py"), "my_space.py")
    space = recipe.make()
    assert space.names == ("width", "depth", "kernel0", "act0", "kernel1", "act1")
    assert space.size() == 3 * (6 + 36)
    rows = space.sample(20, np.random.default_rng(0))
    assert (space.costs(rows)["macs"] > 0).all()
    assert recipe.kind() is recipe.kind()  # one module in a process, however often it is asked for


@pytest.mark.parametrize(
    "code, message",
    [
        ("def broken(:\n", r"^mine\.py: line 1: "),
        ("x = 1\ny = x / 0\n", r"^mine\.py: line 2: ZeroDivisionError: division by zero$"),
        ("import no_such_module\n", r"^mine\.py: line 1: ModuleNotFoundError: .*no_such_module"),
        ("", r"^mine\.py: defines no search space"),
        (f"{HEAD}class Mine(SearchSpace):\n    name = 'mine'\n", r"^mine\.py: defines no search space"),
    ],
)
def test_files_without_a_space(code: str, message: str) -> None:
    """Whatever the user's code raises is one message with the line."""
    with pytest.raises(SpaceFileError, match=message):
        spaces_in(code, "mine.py")


def test_constructor_that_breaks() -> None:
    """An error of the user's constructor has its line; a ValueError is the space's own word."""
    code = (
        f"{HEAD}class Mine(SearchSpace):\n    name = 'mine'\n    def __init__(self, size=1):\n"
        "        if size > 5:\n            raise ValueError('size is too large')\n        None.nothing\n"
        "    def assemble(self, pick): ...\n"
    )
    with pytest.raises(SpaceFileError, match=r"^mine\.py: line 8: AttributeError"):
        SpaceRecipe("mine", {}, code, "mine.py").make()
    with pytest.raises(ValueError, match=r"^size is too large$"):
        SpaceRecipe("mine", {"size": 6}, code, "mine.py").make()
    with pytest.raises(ValueError, match=r"'yours' is not a search space of mine\.py; known: mine"):
        SpaceRecipe("yours", {}, code, "mine.py").make()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Nothing there, a folder, something else than text, and too much of it."""
    (tmp_path / "binary.py").write_bytes(b"\xff\x00")
    (tmp_path / "large.py").write_bytes(b"#" * (1 << 20) + b"#")
    for name, message in [
        ("none.py", "No such file"),
        (".", "not a file"),
        ("binary.py", "not UTF-8"),
        ("large.py", "larger than"),
    ]:
        with pytest.raises(SpaceFileError, match=message):
            read_code(tmp_path / name)


def test_hash_is_of_the_file(tmp_path: Path) -> None:
    """The SHA-256 is what every other tool says of the file."""
    (tmp_path / "empty.py").write_text("")
    assert code_hash(read_code(tmp_path / "empty.py")).startswith("e3b0c44298fc1c149afbf4c8996fb924")
