"""The search spaces by name."""

import inspect
from typing import Any

from search_spaces.families.darts import Darts
from search_spaces.families.fbnet import FBNet
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.families.proxyless import ProxylessNAS
from search_spaces.families.resnet50 import ResNet50
from search_spaces.families.scaled import Scaled
from search_spaces.families.transformer_lm import TransformerLM
from search_spaces.families.vision_transformer import VisionTransformer
from search_spaces.space import SearchSpace

SPACES: dict[str, type[SearchSpace]] = {
    space.name: space
    for space in (
        Darts,
        FBNet,
        MobileNetV3,
        NasBench201,
        ProxylessNAS,
        ResNet50,
        Scaled,
        TransformerLM,
        VisionTransformer,
    )
}


def describe() -> list[dict[str, Any]]:
    """Every space with its default settings: `{name, summary, decisions, size, settings}`.

    `decisions` counts them, `size` the different genotypes, and `settings` has the default of each.
    """
    described = []
    for name, kind in SPACES.items():
        space = kind()  # type: ignore[call-arg]  # every registered space has defaults for all that it takes
        summary = inspect.getdoc(kind) or ""
        settings = {setting: space.settings[setting] for setting in inspect.signature(kind).parameters}
        described.append(
            {
                "name": name,
                "summary": summary.splitlines()[0],
                "decisions": len(space.decisions),
                "size": space.size(),
                "settings": settings,
            }
        )
    return described
