"""Whether the sections of a job agree with each other."""

import re
from collections.abc import Mapping
from typing import Any

from nas.jobspec.errors import Problem
from nas.jobspec.metric_names import (
    ACCURACY,
    LEARNED,
    QUANTISED,
    STATIC,
    UTILISATION,
    ZERO_COST,
    is_share,
    is_zero_cost,
)
from nas.jobspec.training import PREDICTED, PROXY, proxy, recipe_problems, trains_in_search, wants_shared_weights
from nas.jobspec.wording import shown, suggestion
from nas.strategies.gradient import GradientOptions
from nas.strategies.registry import GRADIENT
from profilers.registry import is_computed, metrics_of
from search_spaces.zero_cost.needs import NEEDS

_DEVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def known_metrics(devices: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics that objectives of a job with these devices can name."""
    told = [
        f"{metric}@{name}"
        for name, section in devices.items()
        if _DEVICE_NAME.fullmatch(str(name))
        for metric in metrics_of(section if isinstance(section, Mapping) else {})
    ]
    return (*LEARNED, *QUANTISED, *told, *STATIC, *(ZERO_COST + name for name in NEEDS))


def asked_metrics(job: Mapping[str, Any]) -> list[str | None]:
    """The metric of each objective of a plain job, None where something else stands in its place."""
    given = job.get("objectives")
    metrics = [_plain(objective).get("metric") for objective in given] if isinstance(given, list | tuple) else []
    return [metric if isinstance(metric, str) else None for metric in metrics]


def asks_learned(job: Mapping[str, Any]) -> bool:
    """Whether an objective of a plain job needs data and trained weights."""
    return any(metric in (*LEARNED, *QUANTISED) for metric in asked_metrics(job))


def data_metric(job: Mapping[str, Any]) -> str | None:
    """An objective of a plain job that cannot be found without data; None where there is none."""
    for metric in asked_metrics(job):
        if metric in (*LEARNED, *QUANTISED):
            return str(metric)
        if is_zero_cost(metric) and NEEDS.get(str(metric).removeprefix(ZERO_COST), "nothing") != "nothing":
            return str(metric)
    return None


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
    problems += _sources(objectives, job)
    problems += _data(job)
    problems += _device_time(objectives, job)
    if not unknown:
        problems += _proxy(job)
        problems += _predicted(job)
        problems += _stopping(job)
        problems += _supernet(job)
        problems += _training(job)
        problems += recipe_problems(job)
    return problems + _gradient(job)


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
            what = "a utilisation" if str(metric).startswith(UTILISATION) else "an accuracy"
            message = f"{bound:g} is not {what}; allowed: 0 to 1, so 0.97 and not 97"
            problems.append(Problem(("objectives", index, "bound"), message))
        elif not is_share(metric) and not is_zero_cost(metric) and bound <= 0:
            message = f"{bound:g} cannot bound {shown(metric)}; allowed: above 0"
            problems.append(Problem(("objectives", index, "bound"), message))
    return problems


def _sources(objectives: list[Mapping[str, Any]], job: Mapping[str, Any]) -> list[Problem]:
    """Only what a device measures can be predicted, and only where nothing but networks is searched."""
    problems = []
    for index, objective in enumerate(objectives):
        metric, source = objective.get("metric"), objective.get("from", "measure")
        if source == "measure" or not isinstance(metric, str):
            continue
        place = ("objectives", index, "from")
        device, devices = metric.rpartition("@")[2], job.get("devices")
        section = devices.get(device) if isinstance(devices, Mapping) else None
        if not isinstance(section, Mapping):
            message = f"{shown(source)} is for metrics of devices; leave it out for {shown(metric)}"
        elif is_computed(section):
            message = f"device {device!r} is computed, so predictions spare nothing; leave it out"
        elif any(isinstance(value, list) for value in section.values()):
            message = f"device {device!r} has settings that are searched, so its metrics are measured; leave it out"
        elif trains_in_search(job):
            message = "accuracy.from is 'train', and trainings take longer than measurements; leave it out"
        else:
            continue
        problems.append(Problem(place, message))
    return problems


def _device_time(objectives: list[Mapping[str, Any]], job: Mapping[str, Any]) -> list[Problem]:
    """A budget of device time needs a device that something is run on."""
    budget, devices = job.get("budget"), job.get("devices")
    if not isinstance(budget, Mapping) or budget.get("device_seconds") is None or not isinstance(devices, Mapping):
        return []
    sections = [devices.get(str(objective.get("metric")).rpartition("@")[2]) for objective in objectives]
    if any(isinstance(section, Mapping) and not is_computed(section) for section in sections):
        return []
    message = "given, but no objective of this job is measured on a device, so it would never be spent"
    return [Problem(("budget", "device_seconds"), message)]


def _data(job: Mapping[str, Any]) -> list[Problem]:
    problems = []
    data = job.get("data")
    data = {"name": data} if isinstance(data, str) else data
    if isinstance(data, Mapping):
        sources = [key for key in ("name", "path") if data.get(key) is not None]
        if len(sources) != 1:
            found = "both" if sources else "neither"
            problems.append(Problem(("data",), f"{found} of name and path; give one of them"))
    if data is None and (metric := data_metric(job)) is not None:
        message = f"missing; the objective {metric!r} needs data, such as {{name: digits}} or {{path: images.npz}}"
        problems.append(Problem(("data",), message))
    return problems


def _supernet(job: Mapping[str, Any]) -> list[Problem]:
    if job.get("supernet") is None or not asked_metrics(job):
        return []
    if not asks_learned(job):
        return [_idle("supernet", "it is only trained for the objectives")]
    if not wants_shared_weights(job):
        message = "given, but nothing uses it: accuracy.from is 'train' and train.init is not 'supernet'"
        return [Problem(("supernet",), message)]
    return []


def _proxy(job: Mapping[str, Any]) -> list[Problem]:
    """Where a zero-cost score stands for accuracy, there must be an accuracy that it can stand for."""
    if (score := proxy(job)) is None or not asked_metrics(job):
        return []
    for index, metric in enumerate(asked_metrics(job)):
        if metric == ACCURACY:
            message = (
                "a bound, a direction or a source is given, but accuracy.from is a zero-cost score, which has none"
            )
            return [Problem(("objectives", index), message)]
        if metric in (*LEARNED, *QUANTISED):
            message = f"accuracy.from is {PROXY + score!r}, which stands for accuracy alone and not for {metric!r}"
            return [Problem(("objectives", index), message)]
    if ZERO_COST + score not in asked_metrics(job):
        return [Problem(("accuracy", "from"), "given, but accuracy is no objective of this job")]
    return []


def _predicted(job: Mapping[str, Any]) -> list[Problem]:
    """Accuracy that is predicted is an objective, of networks as they are, and nothing but networks is searched."""
    section = job.get("accuracy")
    source = section.get("from", "supernet") if isinstance(section, Mapping) else None
    if not asked_metrics(job):
        return []
    if source not in PREDICTED:
        if not isinstance(section, Mapping) or not section.get("zero_cost"):
            return []
        allowed = " or ".join(map(repr, PREDICTED))
        message = f"given, but accuracy.from is {shown(source)}, so there is no predictor; allowed with it: {allowed}"
        return [Problem(("accuracy", "zero_cost"), message)]
    asked = set(asked_metrics(job))
    place = ("accuracy", "from")
    if asked.isdisjoint(LEARNED):
        return [Problem(place, f"{source!r} predicts {' and '.join(LEARNED)}, and neither is an objective")]
    if metric := next((metric for metric in QUANTISED if metric in asked), None):
        return [Problem(place, f"{source!r} predicts no {metric}, which is an objective; allowed with it: 'supernet'")]
    devices = job.get("devices")
    for name, settings in devices.items() if isinstance(devices, Mapping) else ():
        if isinstance(settings, Mapping) and any(isinstance(value, list) for value in settings.values()):
            message = f"device {name!r} has settings that are searched beside networks; allowed with it: 'supernet'"
            return [Problem(place, message)]
    return []


def _stopping(job: Mapping[str, Any]) -> list[Problem]:
    """An evaluation is cut short by its accuracy, so that must be all that it is for."""
    section = job.get("accuracy")
    if not isinstance(section, Mapping) or section.get("stop_confidence") is None or not asked_metrics(job):
        return []
    place, asked = ("accuracy", "stop_confidence"), asked_metrics(job)
    if trains_in_search(job):
        return [Problem(place, "is for evaluations with shared weights; trainings have train.halving and train.curves")]
    if ACCURACY not in asked:
        return [Problem(place, f"given, but {ACCURACY} is no objective of this job that is evaluated")]
    if other := next((metric for metric in (*LEARNED, *QUANTISED) if metric in asked and metric != ACCURACY), None):
        return [
            Problem(place, f"an evaluation that is cut short by its accuracy has no {other}, which is an objective")
        ]
    return []


def _training(job: Mapping[str, Any]) -> list[Problem]:
    if not asked_metrics(job):
        return []
    asked, train = set(asked_metrics(job)), job.get("train")
    if train is not None and asked.isdisjoint(LEARNED):
        if not any(is_zero_cost(metric) for metric in asked):
            return [_idle("train", "networks are only trained for the objectives")]
        if job.get("data") is None:
            return [Problem(("data",), "missing; networks are trained on data, such as {name: digits}")]
        if isinstance(train, Mapping) and train.get("init") == "supernet":
            message = "'supernet', but no objective needs a supernet, so there is none; allowed: 'scratch'"
            return [Problem(("train", "init"), message)]
    if not trains_in_search(job):
        return []
    if asked.isdisjoint(LEARNED):
        return [_idle("accuracy", "it is only asked for by the objectives")]
    if not asked.isdisjoint(QUANTISED):
        metric = next(metric for metric in QUANTISED if metric in asked)
        message = f"'train' gives no {metric}, which is an objective; allowed with it: 'supernet'"
        return [Problem(("accuracy", "from"), message)]
    networks = train.get("networks") if isinstance(train, Mapping) else None
    if networks is not None:
        message = f"{shown(networks)} is given, but accuracy.from is 'train', so every candidate is trained"
        return [Problem(("train", "networks"), message)]
    return []


def _idle(section: str, why: str) -> Problem:
    return Problem((section,), f"given, but {why} {' and '.join(LEARNED)}, and this job has neither")


def _gradient(job: Mapping[str, Any]) -> list[Problem]:
    """What a strategy that trains a relaxed network needs of other sections."""
    strategy = _plain_name(job.get("strategy"))
    if not isinstance(strategy.get("name"), str) or strategy["name"] not in GRADIENT:
        return []
    problems = []
    if asked_metrics(job) and not asks_learned(job):
        message = (
            f"{strategy['name']!r} trains networks on data; give the job data and one of the objectives "
            f"{' and '.join(LEARNED)}"
        )
        problems.append(Problem(("strategy", "name"), message))
    if job.get("recipe") is not None:
        message = f"given, but {strategy['name']!r} decides about networks alone; choose another strategy"
        problems.append(Problem(("recipe",), message))
    problems += _milestones(strategy, job.get("budget"))
    if isinstance(cost := strategy.get("cost"), Mapping) and isinstance(cost.get("metric"), str):
        problems += _cost(cost, job)
    return problems


def _milestones(strategy: Mapping[str, Any], budget: Any) -> list[Problem]:
    evaluations = budget.get("evaluations") if isinstance(budget, Mapping) else None
    rounds, every = (
        strategy.get(key, GradientOptions.model_fields[key].default) for key in ("rounds", "propose_every")
    )
    if not all(type(number) is int and number > 0 for number in (evaluations, rounds, every)):
        return []
    needed = -(-rounds // every)
    if needed <= evaluations:
        return []
    message = (
        f"{evaluations} evaluations are too few for the networks of {rounds} rounds, of which one is proposed every "
        f"{every}; allowed: at least {needed}, or a larger strategy.propose_every"
    )
    return [Problem(("budget", "evaluations"), message)]


def _cost(cost: Mapping[str, Any], job: Mapping[str, Any]) -> list[Problem]:
    metric, devices, place = cost["metric"], job.get("devices"), ("strategy", "cost")
    problems = []
    known = [
        name
        for name in known_metrics(devices if isinstance(devices, Mapping) else {})
        if name not in (*LEARNED, *QUANTISED) and not is_zero_cost(name)
    ]
    if cost.get("table") is None and cost.get("predictor") is None and metric not in known:
        message = (
            f"nothing tells the cost {shown(metric)}: it is no metric of a device of this job, and there is no table "
            f"or predictor; known: {', '.join(known)}, or give a table or a predictor{suggestion(metric, known)}"
        )
        problems.append(Problem((*place, "metric"), message))
    given = job.get("objectives")
    objectives = [_plain(objective) for objective in given] if isinstance(given, list | tuple) else []
    bound = next((each.get("bound") for each in objectives if each.get("metric") == metric), None)
    if cost.get("target") is None and bound is None and cost.get("form", "budget") in ("budget", "ratio"):
        message = f"missing; give one, or the objective {metric!r} a bound"
        problems.append(Problem((*place, "target"), message))
    return problems


def _plain_name(section: Any) -> Mapping[str, Any]:
    if isinstance(section, str):
        return {"name": section}
    return section if isinstance(section, Mapping) else {}
