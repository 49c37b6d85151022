"""Exports and profiles in the background, each in a process of its own; one that was cut off is done again."""

import json
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from nas.service.commands import command, environment
from nas.service.settings import ServiceSettings
from storage.errors import StoreError
from storage.records import Task
from storage.service_records import ServiceRecords

_LOG = structlog.get_logger("nas.service.tasks")

_LOOK_SECONDS = 0.25
_EXPORT_SECONDS = 3600.0


class Tasks:
    """Does the tasks that are recorded, a number of them at once.

    Args:
        records: where they stand.
        settings: of the service.
    """

    def __init__(self, records: ServiceRecords, settings: ServiceSettings) -> None:
        self._records = records
        self._settings = settings
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tasks", daemon=True)
        self._processes: set[subprocess.Popen[str]] = set()
        self._taken: set[str] = set()

    def start(self) -> None:
        """Begin, in threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End what is under way; it is done again when a service starts next."""
        self._done.set()
        for process in list(self._processes):
            process.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        with ThreadPoolExecutor(self._settings.tasks, "task") as pool:
            while not self._done.wait(_LOOK_SECONDS):
                try:
                    fresh = [task for task in self._records.unfinished_tasks() if task.id not in self._taken]
                except StoreError as error:
                    _LOG.error("tasks cannot be looked after", error=str(error))
                    continue
                self._taken.update(task.id for task in fresh)
                for task in fresh:
                    pool.submit(self._do, task)

    def _do(self, task: Task) -> None:
        if self._done.is_set():
            return
        log = _LOG.bind(task=task.id, kind=task.kind, job=task.job_id)
        try:
            self._records.start_task(task.id)
            result, error = self._export(task) if task.kind == "export" else self._profile(task)
            if not self._done.is_set():
                self._records.finish_task(task.id, result=result, error=error)
                log.info("task ended", error=error)
        except (StoreError, OSError) as failure:
            log.error("task could not be recorded", error=str(failure))
        finally:
            self._taken.discard(task.id)  # so that one whose end could not be recorded is done again

    def _export(self, task: Task) -> tuple[dict[str, Any] | None, str | None]:
        """Export into the job's folder, which downloads are served from."""
        assert task.job_id is not None
        folder = self._settings.folder / task.job_id / "exports"
        folder.mkdir(parents=True, exist_ok=True)
        pick, output = str(task.request["pick"]), folder / f"{task.id}.onnx"
        precision = str(task.request.get("precision", "fp32"))
        options = [f"--pick={pick}", f"--precision={precision}", f"--output={output}", "--force", "--json"]
        result, error = self._nas("export", *options, "--", task.job_id, seconds=_EXPORT_SECONDS)
        if result is None:
            return None, error
        kept = ("id", "sha256", "bytes", "architecture_key", "genotype", "metrics", "checks")
        return {key: result[key] for key in kept}, None

    def _profile(self, task: Task) -> tuple[dict[str, Any] | None, str | None]:
        """Measure an upload, which is gone after that."""
        path = self._settings.folder / "uploads" / Path(str(task.request["file"])).name
        seconds = self._settings.profile_seconds
        try:
            return self._nas("profile", str(path), f"--timeout={seconds}", "--json", seconds=2 * seconds + 30)
        finally:
            if not self._done.is_set():
                path.unlink(missing_ok=True)

    def _nas(self, *arguments: str, seconds: float) -> tuple[dict[str, Any] | None, str | None]:
        """Run a command of ours: the JSON that it prints, or what it says is wrong."""
        process = subprocess.Popen(
            command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(self._settings),
            start_new_session=True,
        )
        self._processes.add(process)
        if self._done.is_set():
            process.kill()  # it began after the others were ended
        try:
            told, complaint = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None, f"it took longer than {seconds:.0f} s"
        finally:
            self._processes.discard(process)
        if process.returncode:
            words = complaint.strip().rpartition("error: ")[2] or f"exit code {process.returncode}"
            return None, words.replace(str(self._settings.folder), "...")
        result: dict[str, Any] = json.loads(told)
        return result, None
