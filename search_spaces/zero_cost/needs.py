"""What each zero-cost score looks at; apart from the scores, so that a job can be judged without torch."""

from typing import Literal

Needs = Literal["nothing", "inputs", "labels"]

NEEDS: dict[str, Needs] = {
    "synflow": "nothing",
    "naswot": "inputs",
    "jacov": "inputs",
    "zico": "labels",
    "zen": "nothing",
    "snip": "labels",
    "grasp": "labels",
    "fisher": "labels",
    "grad_norm": "labels",
    "params": "nothing",
    "macs": "nothing",
}
"""Nothing, inputs of a data set, or those with their labels."""
