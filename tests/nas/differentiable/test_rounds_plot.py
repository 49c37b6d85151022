"""The picture of the rounds of a differentiable search."""

import math
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from nas.cli.main import app
from nas.differentiable.rounds_plot import rounds_png
from storage.records import Round
from storage.store import ResultStore


def size(picture: bytes) -> tuple[int, int]:
    """In pixels."""
    with Image.open(BytesIO(picture)) as image:
        assert image.format == "PNG"
        return image.size


def metrics(number: int, **more: float) -> dict[str, float]:
    """Of a round."""
    entropies = {f"entropy/edge{index}": 1.6 / number for index in range(12)}
    return {"loss": 2.0 / number, "skip_share": 0.1 * number, "gap": math.nan, **entropies, **more}


def test_there_is_a_panel_for_all_that_was_noted() -> None:
    """Costs and eigenvalues need more rows of panels; a single round is a picture, too; so is one with NaN alone."""
    plain = [Round(number, {}, {}, metrics(number)) for number in (1, 2, 3)]
    more = {"cost_expected": 3.0, "cost_derived": 2.0, "cost_multiplier": 0.1, "eigenvalue": 0.2}
    rich = [*plain, Round(4, {}, {}, metrics(4, validation_loss=1.0, **more), last=True)]
    (width, height), (same, taller) = size(rounds_png("plain", plain)), size(rounds_png("rich", rich))
    assert width == same
    assert taller > 1.3 * height
    size(rounds_png("one", rich[-1:]))


@pytest.mark.parametrize(
    ("rounds", "file", "code", "message"),
    [(1, "rounds.png", 0, "plot: "), (1, "rounds.gif", 2, "must end in .png"), (0, "rounds.png", 1, "has no rounds")],
    ids=["drawn", "not-png", "no-rounds"],
)
def test_show_draws_rounds(rounds: int, file: str, code: int, message: str, tmp_path: Path) -> None:
    """`nas show --plot`, and what it says where it cannot."""
    url = f"sqlite:///{tmp_path}/nas.db"
    with ResultStore(url) as store:
        job = store.create_job("job", {"objectives": [{"metric": "accuracy", "direction": "max"}]})
        lease = store.claim(job.id, "me")
        for number in range(1, rounds + 1):
            store.add_round(lease, Round(number, {}, {}, metrics(number)))
    result = CliRunner().invoke(app, ["show", "latest", "--store", url, "--plot", str(tmp_path / file)])
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.split())
    assert (tmp_path / file).exists() == (code == 0)
