"""The search spaces by name."""

from search_spaces.mobilenet_v3 import MobileNetV3
from search_spaces.space import SearchSpace

SPACES: dict[str, type[SearchSpace]] = {space.name: space for space in (MobileNetV3,)}
