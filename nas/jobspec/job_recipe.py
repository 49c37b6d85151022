"""The data of a job, and its space with what they say about it."""

import inspect
from dataclasses import replace

from nas.datasets.load import load_dataset
from nas.datasets.samples import Data
from nas.jobspec.space_code import space_recipe
from nas.jobspec.spec import JobSpec
from search_spaces.recipe import SpaceRecipe


def job_data(spec: JobSpec) -> Data | None:
    """The data set of the job; None where nothing that the job asks for takes one.

    Raises:
        ValueError: data that cannot be read.
    """
    wanted = spec.wants_learned or spec.zero_cost
    return None if spec.data is None or not wanted else load_dataset(**spec.data.model_dump())


def job_recipe(spec: JobSpec, dataset: Data | None, *, allow_code: bool) -> SpaceRecipe:
    """The space of the job; settings that say what the data are, such as `classes`, are theirs unless the job's.

    Raises:
        ValueError: the space's code cannot be had, or a setting contradicts the data.
    """
    recipe = space_recipe(spec.space.model_dump(), allow_code=allow_code)
    settings = dict(recipe.settings)
    if dataset is not None:
        known = inspect.signature(recipe.kind()).parameters
        for key, value in dataset.space_settings.items():
            if key in known and settings.setdefault(key, value) != value:
                raise ValueError(
                    f"space.{key} is {settings[key]}, but {dataset.source} has {value}; "
                    f"allowed: {value}, or leave it out"
                )
    return replace(recipe, settings=settings)
