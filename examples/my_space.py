"""A search space of your own in one file: residual blocks, elastic in width, depth, kernel and activation.

nas run examples/my_space.yaml --allow-code
"""

from search_spaces.decision import Condition, Decision
from search_spaces.graph import Graph
from search_spaces.layers import activation, conv_norm, global_pool, linear
from search_spaces.space import Pick, SearchSpace


class MySpace(SearchSpace):
    """A stem, up to `blocks` residual blocks, global pooling and a classifier."""

    name = "my_space"

    def __init__(self, classes: int = 10, channels: int = 1, size: int = 8, blocks: int = 3) -> None:
        self.classes, self.shape = classes, (1, channels, size, size)
        decisions = [Decision("width", (16, 24, 32)), Decision("depth", tuple(range(1, blocks + 1)))]
        for block in range(blocks):
            deep_enough = () if block == 0 else (Condition("depth", tuple(range(block + 1, blocks + 1))),)
            decisions.append(Decision(f"kernel{block}", (1, 3, 5), deep_enough))
            decisions.append(Decision(f"act{block}", ("relu", "h_swish"), deep_enough))
        super().__init__(tuple(decisions), {"classes": classes, "channels": channels, "size": size, "blocks": blocks})

    def assemble(self, pick: Pick) -> Graph:
        """The chosen network; tensors of the same name are shared by all networks."""
        g = Graph(self.name)
        x = conv_norm(g, g.input("image", self.shape), "stem", pick("width"), 3, act="relu")
        for block in range(pick("depth")):
            y = conv_norm(g, x, f"block{block}", pick("width"), pick(f"kernel{block}"))
            x = activation(g, g.add("Add", x, y, name=f"add{block}"), f"act{block}", pick(f"act{block}"))
        g.output(linear(g, global_pool(g, x, "pool"), "logits", self.classes))
        return g
