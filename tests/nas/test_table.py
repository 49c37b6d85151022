"""Tables of published results: reading them, looking up in them, searching on them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.evaluation.evaluator import Request
from nas.evaluation.table_evaluator import TableEvaluator
from nas.simulated_clock import SimulatedClock, spread_durations
from nas.simulation import simulate
from nas.strategies.nsga2 import Nsga2, Nsga2Options
from nas.strategies.random import RandomOptions, RandomSearch
from nas.table import Table, TableError


def arrays(**changes: Any) -> dict[str, Any]:
    """A table of 12 architectures (a choice of 3 and one of 4) with two metrics, one value missing."""
    genotypes = np.array([[a, b] for a in range(3) for b in range(4)], np.int16)
    values = np.stack([genotypes.sum(axis=1) / 10, 1.0 + genotypes[:, 0] * 4 + genotypes[:, 1]], axis=1)
    values[5, 1] = np.nan
    given: dict[str, Any] = {
        "genotypes": genotypes,
        "decisions": np.array(["kernel", "kind"]),
        "options": np.array([json.dumps([3, 5, 7]), json.dumps(["a", "b", "c", "d"])]),
        "metrics": np.array(["accuracy", "latency_ms@here"]),
        "values": values,
        "space": np.array("made_up"),
    }
    return {**given, **changes}


def save(folder: Path, **changes: Any) -> Path:
    """Write the table with changes; None leaves an array out."""
    path = folder / "table.npz"
    np.savez(path, **{name: value for name, value in arrays(**changes).items() if value is not None})
    return path


def test_a_table_is_read(tmp_path: Path) -> None:
    """Everything that the file says is there; extra arrays do not disturb."""
    table = Table.load(save(tmp_path, reference_rows=np.arange(10)))
    assert (len(table), table.space_name, table.metrics) == (12, "made_up", ("accuracy", "latency_ms@here"))
    assert table.space.decisions[0].options == (3, 5, 7)
    assert table.complete
    assert not table.registered
    assert np.isnan(table.column("latency_ms@here")[5])


def test_rows_are_found_by_genotype(tmp_path: Path) -> None:
    """Whatever the order of the file; what it does not hold is -1."""
    order = np.random.default_rng(0).permutation(12)[:9]
    given = arrays()
    path = save(tmp_path, genotypes=given["genotypes"][order], values=given["values"][order])
    table = Table.load(path)
    everything = table.space.enumerate()
    rows = table.rows(everything)
    held = rows >= 0
    assert held.sum() == 9
    assert not table.complete
    np.testing.assert_array_equal(table.genotypes[rows[held]], everything[held])
    found = table.lookup(everything, ["accuracy"])["accuracy"]
    np.testing.assert_allclose(found[held], everything[held].sum(axis=1) / 10)
    assert np.isnan(found[~held]).all()
    assert table.rows(everything[:0]).shape == (0,)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"options": None, "metrics": None}, "lacks options, metrics; it has genotypes"),
        ({"genotypes": np.full((12, 2), 4, np.int16)}, "option index 4 is outside"),
        ({"genotypes": np.full((12, 2), -1, np.int16)}, r"genotypes must be in 0\.\.32767"),
        ({"genotypes": np.zeros((12, 2), np.int16)}, "rows 0 and 1 are the same genotype"),
        ({"genotypes": np.zeros((12, 3), np.int16)}, r"must have shape \(n, 2\)"),
        ({"genotypes": np.zeros((12, 2))}, "must hold whole numbers"),
        ({"genotypes": np.zeros(12, np.int16)}, "'genotypes' must have 2 axes"),
        ({"values": np.zeros((11, 2))}, r"values must have shape \(12, 2\)"),
        ({"values": np.full((12, 2), np.inf)}, "row 0, metric 'accuracy' is infinite"),
        ({"values": np.full((12, 2), "x")}, "'values' must hold numbers"),
        ({"options": np.array(["[3, 5, 7]", "[1, 2"])}, "options of decision 'kind' must be a JSON list"),
        ({"options": np.array(["[3, 5, 7]", "{}"])}, "options of decision 'kind' must be a JSON list"),
        ({"options": np.array(["[3, 5, 7]", "[[1]]"])}, "must be numbers, texts or booleans"),
        ({"options": np.array(["[3, 5, 7]", "[NaN]"])}, "must be numbers, texts or booleans"),
        ({"options": np.array(["[3, 5, 7]"])}, "2 decisions and options for 1"),
        ({"decisions": np.array(["kind", "kind"])}, "'kind' is given twice"),
        ({"metrics": np.array(["accuracy", "accuracy"])}, "metric 'accuracy' is given twice"),
        ({"metrics": np.array([1, 2])}, "'metrics' must hold text"),
        ({"space": np.array(["a", "b"])}, "'space' must have 0 axes"),
        ({"genotypes": np.zeros((0, 2), np.int16), "values": np.zeros((0, 2))}, "at least one row"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """Each with the file, what was given and what is allowed."""
    with pytest.raises(TableError, match=message) as caught:
        Table.load(save(tmp_path, **changes))
    assert "table.npz" in str(caught.value)


def test_pickles_and_other_files_are_refused(tmp_path: Path) -> None:
    """Nothing is ever unpickled, and what is not an archive is no table."""
    with pytest.raises(TableError, match=r"without pickles"):
        Table.load(save(tmp_path, metrics=np.array(["accuracy", print], object)))
    with pytest.raises(TableError, match="no such file"):
        Table.load(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("accuracy,latency")
    with pytest.raises(TableError, match="cannot be read"):
        Table.load(tmp_path / "text.npz")


def test_an_array_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is read from the archive's directory, before anything is unpacked."""
    monkeypatch.setattr("nas.table.LARGEST_ARRAY_BYTES", 2**20)
    path = save(tmp_path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name != "values.npy"}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**18, 1)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        with archive.open("values.npy", "w", force_zip64=True) as member:
            member.write(header.getvalue())
            member.write(bytes(2**21))
    assert path.stat().st_size < 2**14
    with pytest.raises(TableError, match=r"'values' has \d+ bytes; at most"):
        Table.load(path)


def test_an_unknown_metric_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    """So that a slip of the pen is found at once."""
    with pytest.raises(TableError, match="no metric 'latency'; known: accuracy, latency_ms@here"):
        Table.load(save(tmp_path)).column("latency")


def test_the_published_table_is_that_of_the_registered_space(shared_data: Path) -> None:
    """NAS-Bench-201: known facts of the paper's table, and a space that can build its networks."""
    table = Table.load(shared_data / "nb201.npz")
    assert table.complete
    assert table.registered
    assert int(table.column("accuracy@cifar10").argmax()) == 6111
    assert table.column("accuracy@cifar100")[9930] == pytest.approx(0.735133, abs=1e-6)


def test_networks_that_a_table_holds_twice_become_one(shared_data: Path) -> None:
    """Choices that do not matter in the registered space are dropped, and the mean of the values is kept."""
    table = Table.load(shared_data / "ofa_accuracy.npz")
    assert table.registered
    assert len(table) + table.merged == 1532
    np.testing.assert_array_equal(table.space.canonical(table.genotypes), table.genotypes)


def test_the_evaluator_answers_from_the_table(tmp_path: Path) -> None:
    """Each request once; what the table lacks is an error of that request, not an exception."""
    given = arrays()
    table = Table.load(save(tmp_path, genotypes=given["genotypes"][:8], values=given["values"][:8]))
    evaluator = TableEvaluator(table, ["accuracy", "latency_ms@here"], workers=2, seconds=3.0)
    rows = table.space.enumerate()
    evaluator.submit([Request(str(place), row) for place, row in enumerate(rows)])
    answers: dict[str, Any] = {}
    while batch := evaluator.wait():
        answers.update({answer.key: answer for answer in batch})
    assert len(answers) == 12
    assert answers["2"].metrics == {"accuracy": 0.2, "latency_ms@here": 3.0}
    assert answers["2"].error is None
    assert answers["5"].metrics == {"accuracy": 0.2}
    assert answers["5"].error == "the table has no value of latency_ms@here in row 5"
    assert answers["9"].error == "the table has no such architecture"
    assert evaluator.clock.now == 18.0
    assert evaluator.clock.utilisation == 1.0
    evaluator.submit([Request("again", rows[5], {"latency_ms@here": 7.0})])
    assert evaluator.wait()[0].metrics == {"accuracy": 0.2, "latency_ms@here": 7.0}
    evaluator.close()
    with pytest.raises(TableError, match="no metric 'energy'"):
        TableEvaluator(table, ["energy"])
    with pytest.raises(ValueError, match=r"for each of the 8 rows \(got \(3,\)\)"):
        TableEvaluator(table, ["accuracy"], seconds=np.ones(3))


def test_the_clock_hands_work_to_idle_workers() -> None:
    """Two workers and four pieces: worked out by hand."""
    clock: SimulatedClock[str] = SimulatedClock(2)
    for name, seconds in (("a", 3.0), ("b", 1.0), ("c", 1.0), ("d", 5.0)):
        clock.submit(name, seconds)
    log = []
    while done := clock.wait():
        log.append((clock.now, [(each.work, each.started) for each in done]))
    assert log == [(1.0, [("b", 0.0)]), (2.0, [("c", 1.0)]), (3.0, [("a", 0.0)]), (7.0, [("d", 2.0)])]
    assert clock.utilisation == pytest.approx(10 / 14)
    assert (clock.idle, clock.outstanding) == (2, 0)
    with pytest.raises(ValueError, match="finite time"):
        clock.submit("e", float("nan"))
    with pytest.raises(ValueError, match="at least one worker"):
        SimulatedClock(0)


def test_time_that_passes_while_proposing_is_worked() -> None:
    """Work that ended meanwhile is handed out next, and its worker went on at once."""
    clock: SimulatedClock[str] = SimulatedClock(1)
    clock.submit("a", 1.0)
    clock.submit("b", 1.0)
    clock.pass_time(5.0)
    assert [(each.work, each.finished) for each in clock.wait()] == [("a", 1.0), ("b", 2.0)]
    assert clock.now == 5.0
    assert clock.utilisation == pytest.approx(0.4)


def test_hundreds_of_workers_are_kept_busy_only_asynchronously(tmp_path: Path) -> None:
    """Evaluations of very different length: waiting for the slowest of a batch leaves most workers idle."""
    rng = np.random.default_rng(0)
    table = Table.load(
        save(
            tmp_path,
            genotypes=(everything := np.indices((7,) * 5).reshape(5, -1).T.astype(np.int16)),
            decisions=np.array(list("abcde")),
            options=np.array([json.dumps(list(range(7)))] * 5),
            values=rng.random((len(everything), 2)),
        )
    )
    lasts = spread_durations(len(table), 100.0, 1.0, rng)
    assert lasts.mean() == pytest.approx(100, rel=0.05)
    assert lasts.std() == pytest.approx(100, rel=0.1)
    timelines = [
        simulate(
            Nsga2(table.space, 2, 0, Nsga2Options(population=20)),
            lambda rows: (np.stack(list(table.lookup(rows, table.metrics).values()), axis=1), np.zeros(len(rows))),
            lambda rows: lasts[table.rows(rows)],
            workers=300,
            evaluations=1500,
            batch=batch,
        )
        for batch in (1, 300)
    ]
    free, waiting = timelines
    assert len(free.losses) == len(waiting.losses) == 1500
    assert len(np.unique(free.genotypes, axis=0)) == 1500
    assert (np.diff(free.finished) >= 0).all()
    early = float(np.quantile(free.finished, 0.5))
    assert free.utilisation(early) > 0.99
    assert waiting.utilisation() < 0.4
    assert waiting.seconds > 1.5 * free.seconds
    volumes = free.hypervolumes([0.0, early, free.seconds], [1.0, 1.0])
    assert volumes[0] == 0.0
    assert (np.diff(volumes) > 0).all()


def test_a_simulation_ends_with_the_space(tmp_path: Path) -> None:
    """Twelve architectures are evaluated once each, however many were wanted."""
    table = Table.load(save(tmp_path))

    def evaluate(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.stack(list(table.lookup(rows, table.metrics).values()), axis=1), np.zeros(len(rows))

    def run(**more: Any) -> Any:
        searcher = RandomSearch(table.space, 2, 0, RandomOptions())
        return simulate(
            searcher, evaluate, lambda rows: np.ones(len(rows)), **{"workers": 5, "evaluations": 50, **more}
        )

    timeline = run()
    assert len(timeline.losses) == 12
    assert timeline.seconds == 3.0
    assert timeline.utilisation() == pytest.approx(12 / 15)
    assert run(ask_seconds=1.0, evaluations=12).seconds > 12
    with pytest.raises(ValueError, match=r"batch of 1\.\.5"):
        run(batch=6)
