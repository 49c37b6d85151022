"""The search spaces by name."""

from search_spaces.darts import Darts
from search_spaces.fbnet import FBNet
from search_spaces.mobilenet_v3 import MobileNetV3
from search_spaces.nasbench201 import NasBench201
from search_spaces.proxyless import ProxylessNAS
from search_spaces.resnet50 import ResNet50
from search_spaces.scaled import Scaled
from search_spaces.space import SearchSpace
from search_spaces.transformer_lm import TransformerLM
from search_spaces.vision_transformer import VisionTransformer

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
