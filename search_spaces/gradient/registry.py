"""The methods of differentiable search by name."""

from search_spaces.gradient.darts import Darts
from search_spaces.gradient.dass import Dass
from search_spaces.gradient.fbnet import FBNet
from search_spaces.gradient.gdas import Gdas
from search_spaces.gradient.method import Method
from search_spaces.gradient.pc_darts import PcDarts
from search_spaces.gradient.proxyless import Proxyless
from search_spaces.gradient.sharp_darts import SharpDarts
from search_spaces.gradient.single_path import SinglePath

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (Darts, PcDarts, SharpDarts, Gdas, FBNet, Proxyless, SinglePath, Dass)
}
