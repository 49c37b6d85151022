"""The layer-wise space of ProxylessNAS (Cai et al., arXiv 1812.00332)."""

from collections.abc import Sequence
from typing import ClassVar

from search_spaces.families.block_choice import BlockChoice
from search_spaces.settings import check_whole, plain


class ProxylessNAS(BlockChoice):
    """Every position chooses among blocks of three kernels and two expansions, and a skip where the shape is kept.

    The defaults are the published space for ImageNet at width 1.0; the published networks for a GPU, a CPU and a phone
    have other widths.

    Args:
        classes: number of classes.
        channels: channels of the input image.
        resolution: input size in pixels, at least the total stride.
        widths: output channels of each stage.
        depths: positions of each stage.
        strides: stride of the first position of each stage.
        blocks: `skip` and names such as `k7_e6`: kernel, expansion and, as in `k3_e1_g2`, groups.
        stem_width: channels of the first convolution.
        stem_stride: its stride.
        first_width: output channels of the fixed block behind it.
        final_width: channels of the 1x1 convolution before pooling.

    Raises:
        ValueError: lists of different lengths, an empty list, sizes that are not positive, an unknown block, groups
            that do not divide channels, an input smaller than the total stride.
    """

    name: ClassVar[str] = "proxyless"
    activation: ClassVar[str] = "relu6"
    epsilon: ClassVar[float] = 1e-3
    skips_project: ClassVar[bool] = False

    def __init__(
        self,
        *,
        classes: int = 1000,
        channels: int = 3,
        resolution: int = 224,
        widths: Sequence[int] = (24, 40, 80, 96, 192, 320),
        depths: Sequence[int] = (4, 4, 4, 4, 4, 1),
        strides: Sequence[int] = (2, 2, 2, 1, 2, 1),
        blocks: Sequence[str] = ("k3_e3", "k3_e6", "k5_e3", "k5_e6", "k7_e3", "k7_e6", "skip"),
        stem_width: int = 32,
        stem_stride: int = 2,
        first_width: int = 16,
        final_width: int = 1280,
    ) -> None:
        settings = plain(locals())
        check_whole(settings, "first_width")
        super().__init__(settings, first_width)
