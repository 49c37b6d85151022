"""What a Gaussian process expects of each group of features."""

from predictors.feature_set import FeatureSet
from predictors.kernels import Part


def parts_of(features: FeatureSet) -> tuple[Part, ...]:
    """A part for each group."""
    return tuple(
        Part(columns, group.slope, group.bend) for columns, group in zip(features.columns, features.groups, strict=True)
    )
