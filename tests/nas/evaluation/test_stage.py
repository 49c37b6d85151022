"""Stages on a real Ray cluster: every piece of work is answered once, whatever happens to the actors."""

import os
import signal
from pathlib import Path

import pytest

from nas.cluster import ray
from nas.evaluation.stage import Done, Stage

pytestmark = pytest.mark.usefixtures("cluster")


class Squarer:
    """Squares numbers; ends its process on demand, as often as a file says."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def ping(self) -> None:
        """Answer."""

    def square(self, number: int, deaths: int) -> int:
        """The square, after `deaths` processes died trying."""
        if number < 0:
            raise ValueError("no negative numbers")
        died = len(list(self._folder.glob(f"{number}-*")))
        if died < deaths:
            (self._folder / f"{number}-{died}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number

    def pair(self, number: int) -> tuple[int, bytes]:
        """Two objects."""
        return number, bytes(number)

    def squares(self, *numbers: int) -> list[int]:
        """The squares of several numbers at once; 7 kills the process unless it comes alone."""
        with (self._folder / "groups").open("a") as file:
            file.write(f"{len(numbers)} ")
        if 7 in numbers and len(numbers) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return [number * number for number in numbers]


def a_stage(folder: Path, method: str = "square", size: int = 2, returns: int = 1, group: int | None = None) -> Stage:
    """A stage of squarers."""
    actor = ray.remote(Squarer).options(num_cpus=1)
    return Stage("squaring", lambda: actor.remote(str(folder)), size, method=method, returns=returns, group=group)


def drain(stage: Stage) -> list[Done]:
    """Work until everything is answered."""
    done: list[Done] = []
    while stage.queued or stage.busy:
        stage.dispatch()
        ready, _ = ray.wait(stage.references(), num_returns=1)
        done += [answer for reference in ready for answer in stage.collect(reference)]
    stage.stop()
    return done


def test_every_piece_is_answered_once(tmp_path: Path) -> None:
    """More work than actors."""
    stage = a_stage(tmp_path)
    for number in range(20):
        stage.submit(number, number, 0)
    answers = drain(stage)
    assert {answer.key: answer.value for answer in answers} == {number: number**2 for number in range(20)}
    assert len(answers) == 20


def test_lost_actors_are_replaced(tmp_path: Path) -> None:
    """Work survives two dead actors; what kills three of them is given up with the reason."""
    stage = a_stage(tmp_path)
    for number, deaths in enumerate([0, 1, 2, 3, 0]):
        stage.submit(number, number, deaths)
    answers = {answer.key: answer for answer in drain(stage)}
    assert {key: answer.value for key, answer in answers.items()} == {0: 0, 1: 1, 2: 4, 3: None, 4: 16}
    assert answers[3].error is not None
    assert "3 squaring actors were lost" in answers[3].error


def test_exceptions_are_answers(tmp_path: Path) -> None:
    """An exception inside a call is the answer to that call and harms nobody else."""
    stage = a_stage(tmp_path, size=1)
    stage.submit("bad", -1, 0)
    stage.submit("good", 3, 0)
    answers = {answer.key: answer for answer in drain(stage)}
    assert answers["good"].value == 9
    assert answers["bad"].error == "ValueError: no negative numbers"


def test_further_objects_stay_in_the_object_store(tmp_path: Path) -> None:
    """Only the first object is fetched; the others are references."""
    stage = a_stage(tmp_path, "pair", returns=2)
    stage.submit("pair", 5)
    (answer,) = drain(stage)
    assert answer.value == 5
    assert ray.get(answer.rest[0]) == bytes(5)


class Unborn:
    """An actor that cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no such thing")

    def ping(self) -> None:
        """Never answered."""


def test_actors_that_never_start_are_an_error() -> None:
    """A pool that cannot start says why instead of trying for ever."""
    actor = ray.remote(Unborn)
    stage = Stage("unborn", actor.remote, 1, method="ping")
    stage.submit("work")
    with pytest.raises(RuntimeError, match=r"the unborn actors do not start: .*no such thing"):
        drain(stage)


def test_groups(tmp_path: Path) -> None:
    """Work is handed out a few pieces at a time, each answered on its own; after a loss the pieces go alone."""
    stage = a_stage(tmp_path, "squares", size=1, group=4)
    for number in range(10):
        stage.submit(number, number)
    answers = {answer.key: answer.value for answer in drain(stage)}
    assert answers == {number: number**2 for number in range(10)}
    assert (tmp_path / "groups").read_text().split() == ["4", "4", "1", "1", "1", "1", "2"]
