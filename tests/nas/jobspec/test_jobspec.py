"""Jobs: defaults, round trips, and every problem at once with its place in the file."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema  # comes with ray
import pytest
import yaml

from nas.jobspec.errors import JobSpecError, Problem
from nas.jobspec.load import load_job, parse_job
from nas.jobspec.schema import json_schema
from nas.jobspec.spec import JobSpec
from nas.jobspec.training import SOURCES
from nas.strategies.registry import STRATEGIES
from search_spaces.registry import SPACES
from search_spaces.zero_cost.needs import NEEDS

SPACE = {
    "name": "mobilenet_v3",
    "resolutions": [8],
    "widths": [16, 24],
    "strides": [1, 2],
    "activations": ["relu", "h_swish"],
    "squeeze_excite": [False, True],
    "depths": [1, 2],
}
GOOD: dict[str, Any] = {
    "name": "digits",
    "space": SPACE,
    "data": {"name": "digits"},
    "objectives": ["accuracy", {"metric": "latency_ms@cpu", "bound": 5.0}],
    "strategy": {"name": "nsga2", "population": 20},
    "budget": {"evaluations": 100},
}
NPU = {
    "kind": "systolic",
    "rows": 16,
    "columns": 16,
    "clock_mhz": 400,
    "input_buffer_kib": 64,
    "weight_buffer_kib": 64,
    "output_buffer_kib": 64,
    "bandwidth_gb_s": 3.2,
}
KNOWN = (
    "known: accuracy, loss, accuracy@int8, loss@int8, latency_ms@cpu, macs, params, peak_activation_bytes, "
    "bytes_moved, " + ", ".join(f"zero_cost@{name}" for name in NEEDS)
)
EXAMPLES = Path(__file__).parents[3] / "examples"


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The good job with changes, each at a dotted path; None removes, `...` stands for a real None."""
    job: dict[str, Any] = json.loads(json.dumps(GOOD))
    for path, value in changes.items():
        *parents, last = path.split(".")
        section = job
        for key in parents:
            section = section.setdefault(key, {})
        if value is None:
            section.pop(last)
        else:
            section[last] = None if value is ... else value
    return job


def problems_of(job: Any) -> list[str]:
    """What is wrong with a job, a line each."""
    with pytest.raises(JobSpecError) as error:
        parse_job(job)
    return [str(problem) for problem in error.value.problems]


def test_defaults_are_filled_in() -> None:
    """A short job is a complete one once it is loaded."""
    job = parse_job(GOOD)
    assert job.devices == {"cpu": {"kind": "host", "threads": 1}}
    assert job.supernet is not None
    assert (job.seed, job.execution.in_flight, job.data.validation if job.data else None) == (0, 2, 0.2)
    assert [(each.metric, each.direction, each.bound) for each in job.objectives] == [
        ("accuracy", "max", None),
        ("latency_ms@cpu", "min", 5.0),
    ]


def test_a_stored_job_is_the_same_job() -> None:
    """A job survives JSON, also without the registries."""
    job = parse_job(GOOD)
    stored = json.loads(json.dumps(job.model_dump(mode="json")))
    assert parse_job(stored) == job
    assert JobSpec.model_validate(stored) == job


def test_names_alone_are_short_forms() -> None:
    """A space, a data set and a strategy can be given by their names, as an objective can."""
    job = parse_job({**GOOD, "space": "mobilenet_v3", "data": "digits", "strategy": "random"})
    assert (job.space.name, job.space.settings) == ("mobilenet_v3", {})
    assert (job.data.name if job.data else None, job.strategy.name) == ("digits", "random")


def test_settings_are_what_the_owner_takes() -> None:
    """Settings are everything but the name, as the constructor of the space takes them."""
    job = parse_job(changed({"space.classes": 7}))
    assert SPACES[job.space.name](**job.space.settings).settings["classes"] == 7
    assert job.strategy.settings == {"population": 20}


def test_a_job_without_accuracy_needs_no_data() -> None:
    """Latency and MACs alone: no data, no supernet."""
    job = parse_job(changed({"data": None, "objectives": ["latency_ms@cpu", "macs"]}))
    assert (job.data, job.supernet, job.wants_learned) == (None, None, False)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": (
        {"sede": 3},
        "sede: unknown key; allowed: name, seed, space, data, accuracy, supernet, train, recipe, objectives, devices, "
        "strategy, budget, execution, measuring; did you mean 'seed'?",
    ),
    "source of accuracy": (
        {"accuracy": {"from": "trian"}},
        f"accuracy.from: 'trian' is not allowed; allowed: {', '.join(map(repr, SOURCES))}; did you mean 'train'?",
    ),
    "misspelt source": (
        {"accuracy": {"form": "train"}},
        "accuracy.form: unknown key; allowed: from, stop_confidence, zero_cost; did you mean 'from'?",
    ),
    "networks": (
        {"train": {"networks": 0}},
        "train.networks: must be 'front', 'knee' or a number of networks, at least 1 (got 0)",
    ),
    "networks of a search that trains": (
        {"accuracy": {"from": "train"}, "train": {"networks": "knee"}},
        "train.networks: 'knee' is given, but accuracy.from is 'train', so every candidate is trained",
    ),
    "warm-up": ({"train": {"epochs": 2}}, "train: warmup_epochs must be less than epochs (2), got 2.0"),
    "reduction": (
        {"train": {"halving": {"reduction": 1.0}}},
        "train.halving.reduction: must be above 1.0 (got 1.0)",
    ),
    "supernet for nothing": (
        {"accuracy": {"from": "train"}, "supernet": {}},
        "supernet: given, but nothing uses it: accuracy.from is 'train' and train.init is not 'supernet'",
    ),
    "training for nothing": (
        {"train": {}, "objectives": ["macs"]},
        "train: given, but networks are only trained for the objectives accuracy and loss, and this job has neither",
    ),
    "source for nothing": (
        {"accuracy": {"from": "train"}, "objectives": ["macs"]},
        "accuracy: given, but it is only asked for by the objectives accuracy and loss, and this job has neither",
    ),
    "recipe of nobody": (
        {"recipe": {"ema": [0.0, 0.9]}},
        "recipe: given, but no candidate is trained with a recipe of its own; it needs accuracy: {from: train}",
    ),
    "recipe of nothing": (
        {"accuracy": {"from": "train"}, "recipe": {}},
        "recipe: nothing is decided; allowed: optimiser, learning_rate, weight_decay, epochs, augmentation, ema, "
        "label_smoothing",
    ),
    "recipe out of range": (
        {"accuracy": {"from": "train"}, "recipe": {"learning_rate": [0.1, -1.0]}},
        "recipe.learning_rate[1]: must be above 0.0 (got -1.0)",
    ),
    "recipe with a part of an epoch": (
        {"accuracy": {"from": "train"}, "recipe": {"epochs": [2.5]}},
        "recipe.epochs[0]: must be a whole number (got 2.5)",
    ),
    "recipe without options": (
        {"accuracy": {"from": "train"}, "recipe": {"learning_rate": []}},
        "recipe.learning_rate: has 0 entries; allowed: at least 1",
    ),
    "recipe with an unknown optimiser": (
        {"accuracy": {"from": "train"}, "recipe": {"optimiser": ["sgd", "loin"]}},
        "recipe.optimiser[1]: 'loin' is not allowed; allowed: 'sgd', 'adamw' or 'lion'; did you mean 'lion'?",
    ),
    "recipe with too few epochs": (
        {"accuracy": {"from": "train"}, "recipe": {"epochs": [2, 8]}},
        "recipe.epochs[0]: warmup_epochs must be less than epochs (2), got 2.0",
    ),
    "recipe with an option twice": (
        {"accuracy": {"from": "train"}, "recipe": {"ema": [0.5, 0.5]}},
        "recipe.ema[1]: 0.5 is given twice",
    ),
    "recipe of another strength of nothing": (
        {"accuracy": {"from": "train"}, "recipe": {"augmentation": [0.0, 1.0]}},
        "recipe.augmentation: there is nothing to multiply: train has none of shift, flip and augmentation",
    ),
    "recipe with an unknown key": (
        {"accuracy": {"from": "train"}, "recipe": {"learning_rates": [0.1]}},
        "recipe.learning_rates: unknown key; allowed: optimiser, learning_rate, weight_decay, epochs, augmentation, "
        "ema, label_smoothing; did you mean 'learning_rate'?",
    ),
    "recipe beside a device of that name": (
        {
            "accuracy": {"from": "train"},
            "recipe": {"ema": [0.0]},
            "objectives": ["accuracy"],
            "devices": {"recipe": {"kind": "host"}},
        },
        "devices.recipe: a job with a recipe has no device of this name; choose another",
    ),
    "trained in int8": (
        {"accuracy": {"from": "train"}, "objectives": ["accuracy", "accuracy@int8"]},
        "accuracy.from: 'train' gives no accuracy@int8, which is an objective; allowed with it: 'supernet'",
    ),
    "unknown key below": (
        {"budget.evaluation": 5},
        "budget.evaluation: unknown key; allowed: evaluations, wall_seconds, device_seconds, stall; "
        "did you mean 'evaluations'?",
    ),
    "missing section": ({"budget": None}, "budget: missing, and there is no default"),
    "missing key": ({"budget": {}}, "budget.evaluations: missing, and there is no default"),
    "empty section": ({"budget": ...}, "budget: must be a mapping (got None)"),
    "name": (
        {"name": "a/b"},
        "name: must be made of letters, digits, '_', '-' and '.', a letter or digit first, at most 100 (got 'a/b')",
    ),
    "number as name": ({"name": 3}, "name: must be a string (got 3)"),
    "text as number": ({"seed": "3"}, "seed: must be a whole number (got '3')"),
    "truth as number": ({"seed": True}, "seed: must be a whole number (got True)"),
    "fraction": ({"budget.evaluations": 1.5}, "budget.evaluations: must be a whole number (got 1.5)"),
    "negative": ({"seed": -1}, "seed: must be at least 0 (got -1)"),
    "no evaluations": ({"budget.evaluations": 0}, "budget.evaluations: must be at least 1 (got 0)"),
    "too much": ({"execution.workers": 5000}, "execution.workers: must be at most 1024 (got 5000)"),
    "truth": ({"execution.timing_waits": 1}, "execution.timing_waits: must be true or false (got 1)"),
    "runs": (
        {"measuring": {"min_runs": 50, "max_runs": 49}},
        "measuring: max_runs must be at least min_runs, 50 (got 49)",
    ),
    "few runs": ({"measuring": {"min_runs": 5}}, "measuring.min_runs: must be at least 6 (got 5)"),
    "no tolerance": ({"measuring": {"tolerance": 0}}, "measuring.tolerance: must be above 0.0 (got 0)"),
    "drift in percent": ({"measuring": {"drift": 5}}, "measuring.drift: must be at most 1.0 (got 5)"),
    "replicate": ({"measuring": {"replicate": -1}}, "measuring.replicate: must be above 0.0 (got -1)"),
    "series": ({"measuring": {"series": 0}}, "measuring.series: must be at least 1 (got 0)"),
    "share": ({"data.validation": 1}, "data.validation: must be below 1.0 (got 1)"),
    "rate": ({"supernet.learning_rate": 0}, "supernet.learning_rate: must be above 0.0 (got 0)"),
    "no objectives": ({"objectives": []}, "objectives: has 0 entries; allowed: at least 1"),
    "objectives no list": ({"objectives": "accuracy"}, "objectives: must be a list (got 'accuracy')"),
    "objective a number": ({"objectives": ["accuracy", 3]}, "objectives[1]: must be a mapping (got 3)"),
    "metric": (
        {"objectives": ["accuracy", "latencyms"]},
        f"objectives[1]: objective 'latencyms' is not a metric of this job; {KNOWN}; did you mean 'latency_ms@cpu'?",
    ),
    "metric of no device": (
        {"objectives": ["latency_ms@pi5"], "data": None},
        f"objectives[0]: objective 'latency_ms@pi5' is not a metric of this job; {KNOWN}; "
        "did you mean 'latency_ms@cpu'?",
    ),
    "metric twice": (
        {"objectives": ["macs", {"metric": "macs", "bound": 3}]},
        "objectives[1]: objective 'macs' is given twice, first at objectives[0]",
    ),
    "direction": (
        {"objectives": [{"metric": "accuracy", "direction": "mx"}]},
        "objectives[0].direction: 'mx' is not allowed; allowed: 'min' or 'max'; did you mean 'max'?",
    ),
    "objective without metric": (
        {"objectives": ["accuracy", {"bound": 3}]},
        "objectives[1].metric: missing, and there is no default",
    ),
    "accuracy in percent": (
        {"objectives": [{"metric": "accuracy", "bound": 97}]},
        "objectives[0].bound: 97 is not an accuracy; allowed: 0 to 1, so 0.97 and not 97",
    ),
    "bound of nothing": (
        {"objectives": ["accuracy", {"metric": "macs", "bound": 0}]},
        "objectives[1].bound: 0 cannot bound 'macs'; allowed: above 0",
    ),
    "bound as text": (
        {"objectives": ["accuracy", {"metric": "macs", "bound": "2M"}]},
        "objectives[1].bound: must be a number (got '2M')",
    ),
    "space": (
        {"space.name": "mobilnet_v3"},
        f"space.name: 'mobilnet_v3' is not a known search space; known: {', '.join(SPACES)}; "
        "did you mean 'mobilenet_v3'?",
    ),
    "space without name": ({"space.name": None}, "space.name: missing, and there is no default"),
    "space setting": ({"space.strides": [1]}, "space: strides must have 2 entries, got [1]"),
    "space setting of a wrong type": (
        {"space.widths": 5},
        "space: widths must be a list with at least one entry, got 5",
    ),
    "strategy": (
        {"strategy.name": "nsga3"},
        f"strategy.name: 'nsga3' is not a known strategy; known: {', '.join(STRATEGIES)}; did you mean 'nsga2'?",
    ),
    "strategy option": ({"strategy.population": "20"}, "strategy.population: must be a whole number (got '20')"),
    "strategy range": ({"strategy.population": 1}, "strategy.population: must be at least 2 (got 1)"),
    "device kind": (
        {"devices": {"cpu": {"kind": "hst"}}},
        "devices.cpu: kind must be one of host, remote, browser, roofline, systolic (got 'hst')",
    ),
    "dataflow": (
        {"devices": {"cpu": {}, "npu": NPU | {"dataflow": "row_stationary"}}},
        "devices.npu: dataflow must be one of output_stationary, weight_stationary, input_stationary "
        "(got 'row_stationary')",
    ),
    "no rows": (
        {"devices": {"cpu": {}, "npu": NPU | {"rows": 0}}},
        "devices.npu: rows must be a whole number from 1 to 65536 (got 0)",
    ),
    "no bandwidth": (
        {"devices": {"cpu": {}, "npu": {"kind": "roofline", "peak_macs_per_s": 1e12}}},
        "devices.npu: bandwidth_gb_s is missing, and there is no default",
    ),
    "small buffer": (
        {"devices": {"cpu": {}, "npu": NPU | {"weight_buffer_kib": 0.25}}},
        "devices.npu: weight_buffer_kib must be at least 0.5, twice 16 x 16 values of 1 bytes, to hold one tile and "
        "the next with dataflow weight_stationary (got 0.25)",
    ),
    "energy of a CPU": (
        {"objectives": ["energy_mj@cpu"], "data": None},
        f"objectives[0]: objective 'energy_mj@cpu' is not a metric of this job; {KNOWN}; "
        "did you mean 'latency_ms@cpu'?",
    ),
    "utilisation in percent": (
        {"devices": {"npu": NPU}, "objectives": ["accuracy", {"metric": "utilisation@npu", "bound": 60}]},
        "objectives[1].bound: 60 is not a utilisation; allowed: 0 to 1, so 0.97 and not 97",
    ),
    "device name": (
        {"devices": {"cpu": {}, "my pi": {}}},
        "devices['my pi']: 'my pi' is not a name for a device; allowed: 1 to 64 letters, digits, '_', '.' or '-', "
        "a letter or digit first",
    ),
    "device named twice": (
        {"devices": {"cpu": {"name": "x"}}},
        "devices.cpu.name: unknown key; the name of a device is the key of its section",
    ),
    "device no mapping": ({"devices": {"cpu": 3}}, "devices.cpu: must be a mapping (got 3)"),
    "data set": (
        {"data.name": "digit"},
        "data.name: 'digit' is not a known data set; known: digits; did you mean 'digits'?; "
        "a file or folder is given as {path: ...}",
    ),
    "no data": (
        {"data": None},
        "data: missing; the objective 'accuracy' needs data, such as {name: digits} or {path: images.npz}",
    ),
    "data without source": ({"data": {"validation": 0.1}}, "data: neither of name and path; give one of them"),
    "data of two sources": ({"data.path": "/"}, "data: both of name and path; give one of them"),
    "data that are not there": (
        {"data": {"path": "/nowhere/x.npz"}},
        "data.path: '/nowhere/x.npz' cannot be read: No such file or directory",
    ),
    "idle supernet": (
        {"supernet": {}, "objectives": ["macs"]},
        "supernet: given, but it is only trained for the objectives accuracy and loss, and this job has neither",
    ),
    "phase": ({"supernet": {"phases": [3]}}, "supernet.phases[0]: must be a mapping (got 3)"),
    "key of a phase": (
        {"supernet": {"phases": [{"epochs": 3}, {"epochs": 3, "elastik": []}]}},
        "supernet.phases[1].elastik: unknown key; allowed: epochs, elastic, learning_rate, random_subnets, "
        "order_channels; did you mean 'elastic'?",
    ),
    "patterns no list": (
        {"supernet": {"phases": [{"epochs": 3, "elastic": "kernel*"}]}},
        "supernet.phases[0].elastic: must be a list (got 'kernel*')",
    ),
    "pattern": (
        {"supernet": {"phases": [{"epochs": 3, "elastic": ["kernel*", "dept*h"]}, {"epochs": 3}]}},
        "supernet.phases[0].elastic[1]: 'dept*h' matches no decision of space 'mobilenet_v3'; "
        "known: kernel*, expand*, depth*, resolution",
    ),
    "decisions that are never elastic": (
        {"supernet": {"phases": [{"epochs": 3, "elastic": []}, {"epochs": 3, "elastic": ["kernel*", "depth*"]}]}},
        "supernet.phases: no phase makes expand* elastic, so all but the largest option would be searched untrained; "
        "name it in a phase, or give the space one option of it",
    ),
    "epochs of phases": (
        {"supernet": {"epochs": 9, "phases": [{"epochs": 3}]}},
        "supernet: epochs is 9 and the phases have 3; leave epochs out or correct it",
    ),
    "warm-up of a phase": (
        {"supernet": {"phases": [{"epochs": 3}, {"epochs": 2}]}},
        "supernet: warmup_epochs must be less than the epochs of phases[1] (2), got 2.0",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_one_problem(case: str) -> None:
    """One thing wrong gives exactly one message: the place, what was given, what is allowed."""
    changes, message = BAD[case]
    assert problems_of(changed(changes)) == [message]


def test_unknown_settings_name_the_known_ones() -> None:
    """Owners' sections refuse unknown keys as all others do."""
    job = changed({"space.width": [3], "strategy.populaton": 3, "devices": {"cpu": {"thread": 3}}})
    space, strategy, device = problems_of(job)
    assert space.startswith("space.width: unknown key; allowed: name, classes, channels, ")
    assert space.endswith("; did you mean 'widths'?")
    assert strategy.startswith("strategy.populaton: unknown key; allowed: name, population, ")
    assert strategy.endswith("; did you mean 'population'?")
    assert device.startswith("devices.cpu: unknown key 'thread'; known: kind, ")


def test_every_problem_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Sections that are wrong in themselves do not hide those that disagree, nor what owners say."""
    path = tmp_path / "job.yaml"
    path.write_text(
        """
        sed: 0
        objectives:
          - latencyms
          - {metric: latency_ms@gpu, direction: up, bound: -1}
          - macs
          - {metric: macs, bond: 3}
        name: a b
        data: {path: none.npz, validation: 2}
        devices: {gpu: {kind: host, threads: 0, precision: int3}}
        space: {name: mobilenet_v3, strides: []}
        strategy: nsga
        """
    )
    with pytest.raises(JobSpecError) as error:
        load_job(path)
    assert [problem.path for problem in error.value.problems] == [
        "sed",
        "objectives[0]",
        "objectives[1].direction",
        "objectives[1].bound",
        "objectives[3]",
        "objectives[3].bond",
        "name",
        "data.path",
        "data.validation",
        "devices.gpu",
        "devices.gpu",
        "space",
        "strategy.name",
        "budget",
    ]
    lines = str(error.value).splitlines()
    assert lines[0] == f"{path}: 14 problems"
    assert all(line.startswith("  ") for line in lines[1:])
    assert len(lines) == 15
    assert f"'{tmp_path}/none.npz' cannot be read" in str(error.value)


@pytest.mark.parametrize(
    "job, message",
    [
        ([], "a job is a mapping with the keys name, seed, "),
        (None, "a job is a mapping with the keys name, seed, "),
        ({"seed": float("nan")}, "a job holds only what JSON can hold: "),
        ({"name": "\ud800"}, "a job holds only what JSON can hold: "),
        ({"name": {1, 2}}, "a job holds only what JSON can hold: "),
    ],
)
def test_not_a_job(job: Any, message: str) -> None:
    """Values that no job file can give."""
    assert problems_of(job)[0].startswith(message)


def test_paths_are_relative_to_the_job_file(tmp_path: Path) -> None:
    """What is loaded is absolute, so the job runs the same from anywhere."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "x.npz").write_bytes(b"read later")
    path = tmp_path / "jobs" / "job.json"
    path.write_text(json.dumps({**GOOD, "data": {"path": "../x.npz"}}))
    job = load_job(path)
    assert job.data is not None
    assert job.data.path == str(tmp_path / "x.npz")


def test_locations_read_as_one_looks_them_up() -> None:
    """Keys by dots, positions in brackets, odd keys quoted."""
    assert Problem(("a", 0, "b_c", "d e", "x"), "m").path == "a[0].b_c['d e'].x"
    assert str(Problem((), "m")) == "m"


@pytest.mark.parametrize("name", ["digits.yaml", "cifar10_subset.yaml", "shakespeare.yaml", "my_space.yaml"])
def test_examples_are_jobs(name: str, request: pytest.FixtureRequest) -> None:
    """The example files load, and are valid by the schema too."""
    if name in ("cifar10_subset.yaml", "shakespeare.yaml"):
        request.getfixturevalue("shared_data")
    job = load_job(EXAMPLES / name, allow_code=True)
    assert f"{job.name}.yaml" == name
    jsonschema.validate(yaml.safe_load((EXAMPLES / name).read_text().replace("2.0e6", "2.0e+6")), json_schema())


def test_schema_is_a_schema_and_knows_the_good_from_the_bad() -> None:
    """The library jsonschema accepts the schema and the good jobs and refuses what is wrong in form."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert json.loads(json.dumps(schema)) == schema
    assert validator.is_valid(GOOD)
    assert validator.is_valid(parse_job(GOOD).model_dump(mode="json"))
    assert validator.is_valid({**GOOD, "space": "mobilenet_v3", "data": "digits", "strategy": "random"})
    beyond_form = {"metric", "metric of no device", "metric twice", "accuracy in percent", "bound of nothing"}
    beyond_form |= {"space setting", "device named twice", "data set", "no data", "data without source"}
    beyond_form |= {"data of two sources", "data that are not there", "idle supernet", "device name"}
    beyond_form |= {"runs", "dataflow", "no rows", "small buffer", "energy of a CPU", "utilisation in percent"}
    beyond_form |= {"pattern", "decisions that are never elastic", "epochs of phases", "warm-up of a phase"}
    beyond_form |= {"networks", "networks of a search that trains", "warm-up", "supernet for nothing"}
    beyond_form |= {"training for nothing", "source for nothing", "trained in int8"}
    beyond_form |= {"recipe of nobody", "recipe of nothing", "recipe out of range", "recipe with an unknown optimiser"}
    beyond_form |= {"recipe with too few epochs", "recipe with an option twice", "recipe beside a device of that name"}
    beyond_form |= {"recipe of another strength of nothing"}
    for case, (changes, _) in BAD.items():
        assert validator.is_valid(changed(changes)) == (case in beyond_form - {"device named twice"}), case


def test_a_described_device_gives_energy_and_utilisation() -> None:
    """Three metrics of one device are objectives, each in its direction; the schema knows the section."""
    objectives = ["latency_ms@npu", "energy_mj@npu", {"metric": "utilisation@npu", "bound": 0.5}]
    job = changed({"devices": {"npu": NPU}, "objectives": objectives, "data": None})
    assert [each.direction for each in parse_job(job).objectives] == ["min", "min", "max"]
    jsonschema.validate(job, json_schema())


def test_reading_a_job_needs_no_torch() -> None:
    """`nas jobs`, `nas schema` and bad input answer without loading torch, ray or scikit-learn."""
    code = "import sys, nas.jobspec.load; print([m for m in ('torch', 'ray', 'sklearn', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
