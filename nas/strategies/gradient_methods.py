"""The methods of differentiable search by the names that jobs give; `search_spaces.gradient` says how they work."""

from typing import ClassVar, Literal

from nas.strategies.gradient import GradientOptions, GradientStrategy
from search_spaces.gradient import method_settings as settings


class DartsOptions(settings.DartsSettings, GradientOptions):
    """The options of DARTS."""

    name: Literal["darts"] = "darts"


class Darts(GradientStrategy):
    """DARTS (Liu et al., arXiv 1806.09055)."""

    summary: ClassVar[str] = "learns operators by gradients through a network that mixes all of them"
    options_type = DartsOptions


class PcDartsOptions(settings.PcDartsSettings, GradientOptions):
    """The options of PC-DARTS."""

    name: Literal["pc_darts"] = "pc_darts"


class PcDarts(GradientStrategy):
    """PC-DARTS (Xu et al., arXiv 1907.05737)."""

    summary: ClassVar[str] = "DARTS in a part of the channels, in a fraction of the memory"
    options_type = PcDartsOptions


class SharpDartsOptions(settings.SharpDartsSettings, GradientOptions):
    """The options of sharpDARTS."""

    name: Literal["sharp_darts"] = "sharp_darts"


class SharpDarts(GradientStrategy):
    """sharpDARTS (Hundt et al., arXiv 1903.09900)."""

    summary: ClassVar[str] = "DARTS with max-W weights and cosine power annealing"
    options_type = SharpDartsOptions


class GdasOptions(settings.GdasSettings, GradientOptions):
    """The options of GDAS."""

    name: Literal["gdas"] = "gdas"


class Gdas(GradientStrategy):
    """GDAS (Dong and Yang, arXiv 1910.04465)."""

    summary: ClassVar[str] = "one path a step, drawn by Gumbel-softmax, with straight-through gradients"
    options_type = GdasOptions


class FBNetOptions(settings.FBNetSettings, GradientOptions):
    """The options of FBNet's search."""

    name: Literal["fbnet"] = "fbnet"


class FBNet(GradientStrategy):
    """FBNet's search (Wu et al., arXiv 1812.03443)."""

    summary: ClassVar[str] = "all candidates, weighed by a Gumbel-softmax that cools down"
    options_type = FBNetOptions


class ProxylessOptions(settings.ProxylessSettings, GradientOptions):
    """The options of ProxylessNAS."""

    name: Literal["proxyless"] = "proxyless"


class Proxyless(GradientStrategy):
    """ProxylessNAS (Cai et al., arXiv 1812.00332)."""

    summary: ClassVar[str] = "binarised paths, two compared in each step, in the memory of one network"
    options_type = ProxylessOptions


class SinglePathOptions(settings.SinglePathSettings, GradientOptions):
    """The options of Single-Path NAS."""

    name: Literal["single_path"] = "single_path"


class SinglePath(GradientStrategy):
    """Single-Path NAS (Stamoulis et al., arXiv 1904.02877)."""

    summary: ClassVar[str] = "kernels and widths as thresholds on the norms of shared weights"
    options_type = SinglePathOptions


class DassOptions(settings.DassSettings, GradientOptions):
    """The options of DASS."""

    name: Literal["dass"] = "dass"


class Dass(GradientStrategy):
    """DASS (Mousavi et al., arXiv 2207.06968)."""

    summary: ClassVar[str] = "DARTS over sparse operators, whose masks are learned"
    options_type = DassOptions
