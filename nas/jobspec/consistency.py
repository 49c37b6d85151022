"""Whether the sections of a job agree with each other."""

import re
from collections.abc import Mapping
from typing import Any

from nas.jobspec.errors import Problem
from nas.jobspec.wording import shown, suggestion
from profilers.registry import metrics_of

ACCURACY = "accuracy"
LEARNED = (ACCURACY, "loss")
"""Metrics of trained networks on held-out data: share of right answers, and cross-entropy in nats."""
UTILISATION = "utilisation@"
"""Begins the name of a metric that, like accuracy, is a share and better when it is higher."""
STATIC = ("macs", "params", "peak_activation_bytes", "bytes_moved")

_DEVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def known_metrics(devices: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics that objectives of a job with these devices can name."""
    told = [
        f"{metric}@{name}"
        for name, section in devices.items()
        if _DEVICE_NAME.fullmatch(str(name))
        for metric in metrics_of(section if isinstance(section, Mapping) else {})
    ]
    return (*LEARNED, *told, *STATIC)


def is_share(metric: object) -> bool:
    """Whether a metric lies between 0 and 1 and should be high."""
    return metric == ACCURACY or str(metric).startswith(UTILISATION)


def asked_metrics(job: Mapping[str, Any]) -> list[Any]:
    """The metric of each objective of a plain job, whatever stands in its place."""
    given = job.get("objectives")
    return [_plain(objective).get("metric") for objective in given] if isinstance(given, list | tuple) else []


def asks_learned(job: Mapping[str, Any]) -> bool:
    """Whether an objective of a plain job needs data and trained weights."""
    return any(metric in LEARNED for metric in asked_metrics(job))


def inconsistencies(job: Mapping[str, Any]) -> list[Problem]:
    """What is wrong between sections, and within those that need the metrics.

    Args:
        job: the job as plain values with its defaults filled in where they matter here (`devices`). Parts of
            a wrong type are passed over: their own section reports them.
    """
    devices = job.get("devices")
    given = job.get("objectives")
    objectives = [_plain(objective) for objective in given] if isinstance(given, list | tuple) else []
    problems = _device_names(devices) if isinstance(devices, Mapping) else []
    unknown = _metrics(objectives, devices)
    problems += unknown
    problems += _bounds(objectives)
    problems += _data(job)
    if not unknown:
        problems += _supernet(job)
    return problems


def _plain(objective: Any) -> Mapping[str, Any]:
    if isinstance(objective, str):
        return {"metric": objective}
    return objective if isinstance(objective, Mapping) else {}


def _device_names(devices: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(
            ("devices", str(name)),
            f"{shown(name)} is not a name for a device; allowed: 1 to 64 letters, digits, '_', '.' or '-', "
            f"a letter or digit first",
        )
        for name in devices
        if not _DEVICE_NAME.fullmatch(str(name))
    ]


def _metrics(objectives: list[Mapping[str, Any]], devices: Any) -> list[Problem]:
    problems = []
    first: dict[str, int] = {}
    known = known_metrics(devices if isinstance(devices, Mapping) else {})
    for index, objective in enumerate(objectives):
        metric = objective.get("metric")
        if not isinstance(metric, str):
            continue
        undecided = "@" in metric and not isinstance(devices, Mapping)
        if metric not in known and not undecided:
            message = f"objective {shown(metric)} is not a metric of this job; known: {', '.join(known)}"
            problems.append(Problem(("objectives", index), message + suggestion(metric, known)))
        elif metric in first:
            message = f"objective {metric!r} is given twice, first at objectives[{first[metric]}]"
            problems.append(Problem(("objectives", index), message))
        first.setdefault(metric, index)
    return problems


def _bounds(objectives: list[Mapping[str, Any]]) -> list[Problem]:
    problems = []
    for index, objective in enumerate(objectives):
        bound, metric = objective.get("bound"), objective.get("metric")
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            continue
        if is_share(metric) and not 0 <= bound <= 1:
            what = "an accuracy" if metric == ACCURACY else "a utilisation"
            message = f"{bound:g} is not {what}; allowed: 0 to 1, so 0.97 and not 97"
            problems.append(Problem(("objectives", index, "bound"), message))
        elif not is_share(metric) and bound <= 0:
            message = f"{bound:g} cannot bound {shown(metric)}; allowed: above 0"
            problems.append(Problem(("objectives", index, "bound"), message))
    return problems


def _data(job: Mapping[str, Any]) -> list[Problem]:
    problems = []
    data = job.get("data")
    data = {"name": data} if isinstance(data, str) else data
    if isinstance(data, Mapping):
        sources = [key for key in ("name", "path") if data.get(key) is not None]
        if len(sources) != 1:
            found = "both" if sources else "neither"
            problems.append(Problem(("data",), f"{found} of name and path; give one of them"))
    if data is None and asks_learned(job):
        metric = next(metric for metric in asked_metrics(job) if metric in LEARNED)
        message = f"missing; the objective {metric!r} needs data, such as {{name: digits}} or {{path: images.npz}}"
        problems.append(Problem(("data",), message))
    return problems


def _supernet(job: Mapping[str, Any]) -> list[Problem]:
    if job.get("supernet") is None or not asked_metrics(job) or asks_learned(job):
        return []
    message = f"given, but it is only trained for the objectives {' and '.join(LEARNED)}, and this job has neither"
    return [Problem(("supernet",), message)]
