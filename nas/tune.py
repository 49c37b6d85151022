"""Ray Tune, told before it is imported to keep to itself."""

import logging
import os

from nas.cluster import ray as ray

# What a trial has learned and how far it is we keep ourselves, so Tune's own logs, its folder and its handler of
# interrupts are not wanted; results come one by one, because each of them may end its trial.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
os.environ.setdefault("TUNE_RESULT_BUFFER_LENGTH", "1")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a trial that fails has no metrics
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "1000000000")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")

from ray import tune as tune
from ray.tune import Callback as Callback
from ray.tune import Stopper as Stopper
from ray.tune.schedulers import ASHAScheduler as ASHAScheduler
from ray.tune.search import Searcher as Searcher

logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # whoever waits for a trial is told what became of it
