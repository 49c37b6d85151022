"""Between a search that asks and Ray Tune that runs: the queue that trials come from, and the reports that go back."""

import queue
from collections import deque
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from nas.tune import Callback, Searcher, Stopper


@dataclass(frozen=True, slots=True)
class Report:
    """What a trial says: a result after an epoch, the last one with `done`; or that it was lost for good."""

    key: str
    result: dict[str, Any] = field(default_factory=dict)
    lost: str | None = None


class Feed(Searcher):  # type: ignore[misc]  # ray ships no types
    """Proposes to Ray Tune what was put in, in that order, until it is closed."""

    def __init__(self) -> None:
        super().__init__(metric="score", mode="max")
        self._waiting: deque[dict[str, Any]] = deque()
        self._closed = False
        self._lock = Lock()

    def put(self, config: dict[str, Any]) -> None:
        """Queue a trial."""
        with self._lock:
            self._waiting.append(config)

    def close(self) -> None:
        """Have Ray Tune begin nothing more."""
        with self._lock:
            self._closed = True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial, nothing for now, or the end."""
        with self._lock:
            if self._closed:
                return str(Searcher.FINISHED)
            return self._waiting.popleft() if self._waiting else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: reports go another way."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the store knows what there is to do."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, in a file of Ray Tune that nobody reads."""
        return {}


class Reports(Callback):  # type: ignore[misc]  # ray ships no types
    """Puts what trials say into a queue."""

    def __init__(self, reports: "queue.Queue[Report]") -> None:
        self._reports = reports

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """An epoch is done."""
        self._reports.put(Report(trial.config["key"], dict(result)))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """The trial's workers were lost again and again."""
        lines = str(trial.get_error() or "its worker was lost").strip().splitlines()
        self._reports.put(Report(trial.config["key"], lost=lines[-1]))

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, in a file of Ray Tune that nobody reads."""
        return {}


class End(Stopper):  # type: ignore[misc]  # ray ships no types
    """Ends all trials when it is told to."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial ends by this."""
        return False

    def stop_all(self) -> bool:
        """Whether it was told to."""
        return self.asked
