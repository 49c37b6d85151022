"""Benchmarks are too long to be run by the tests; what they import from here must at least be there."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


def source(module: str) -> Path | None:
    """The file of a module of ours or of a neighbouring benchmark; None of somebody else's."""
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py", ROOT / "benchmarks" / f"{module}.py")
    return next((each for each in candidates if each.is_file()), None)


def names_of(path: Path) -> set[str]:
    """What a file defines or imports, at the top or under a condition there."""
    tree = ast.parse(path.read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return names | {each.asname or each.name for node in imports for each in node.names}


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_imports_are_there(path: Path) -> None:
    """Each name that is imported from this repository exists, and no module of it is missing."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        found = source(node.module)
        if found is None:
            assert node.module.partition(".")[0] not in {each.parent.name for each in ROOT.glob("*/__init__.py")}
            continue
        here = {each.stem for each in found.parent.iterdir()} if found.name == "__init__.py" else set()
        missing = {each.name for each in node.names} - names_of(found) - here
        assert not missing, f"{node.module} has no {', '.join(missing)}"
