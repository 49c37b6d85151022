"""The layer-wise space of FBNet (Wu et al., arXiv 1812.03443)."""

from collections.abc import Sequence
from typing import ClassVar

from search_spaces.families.block_choice import BlockChoice
from search_spaces.settings import plain


class FBNet(BlockChoice):
    """Every position chooses among blocks of two kernels and three expansions, one with groups, and a skip.

    Columns and options are those of the latency tables of HW-NAS-Bench (Li et al., arXiv 2103.10584). The defaults are
    the space for ImageNet with the larger final convolution; the paper also has one of 1,504. The tables' CIFAR-100
    setting is 100 classes, resolution 32, strides 1, 1, 2, 2, 1, 2, 1, stem stride 1, final width 1,504. A skip where
    the shape changes is a 1x1 convolution with normalisation and ReLU. `k3_e1` has its first 1x1 convolution as well.

    Args:
        classes: number of classes.
        channels: channels of the input image.
        resolution: input size in pixels, at least the total stride.
        widths: output channels of each stage.
        depths: positions of each stage.
        strides: stride of the first position of each stage.
        blocks: `skip` and names such as `k3_e6` or `k5_e1_g2`: kernel, expansion, groups.
        stem_width: channels of the first convolution.
        stem_stride: its stride.
        final_width: channels of the 1x1 convolution before pooling.

    Raises:
        ValueError: lists of different lengths, an empty list, sizes that are not positive, an unknown block, groups
            that do not divide channels, an input smaller than the total stride.
    """

    name: ClassVar[str] = "fbnet"
    activation: ClassVar[str] = "relu"
    epsilon: ClassVar[float] = 1e-5
    skips_project: ClassVar[bool] = True

    def __init__(
        self,
        *,
        classes: int = 1000,
        channels: int = 3,
        resolution: int = 224,
        widths: Sequence[int] = (16, 24, 32, 64, 112, 184, 352),
        depths: Sequence[int] = (1, 4, 4, 4, 4, 4, 1),
        strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1),
        blocks: Sequence[str] = (
            *("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6"),
            *("k5_e1", "k5_e1_g2", "k5_e3", "k5_e6"),
            "skip",
        ),
        stem_width: int = 16,
        stem_stride: int = 2,
        final_width: int = 1984,
    ) -> None:
        super().__init__(plain(locals()))
