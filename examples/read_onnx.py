"""An ONNX file from anywhere, read back into a graph: costs, features, latency.

python examples/read_onnx.py MODEL.onnx
"""

import sys
from pathlib import Path

from profilers.registry import make_device, open_profiler
from search_spaces.interchange.onnx_reader import read_model
from search_spaces.summary import summarise

content = Path(sys.argv[1]).read_bytes()
model = read_model(content)  # a graph like those of a space, and its weights
about = summarise(model)

print(", ".join(f"{cost:,} {metric}" for metric, cost in about["costs"].items()))
for operator in about["operators"]:  # what predictors see: operators, how many, what they cost
    print(f"{operator['nodes']:4} x {operator['op']:20} {operator['macs']:12,} macs")
for operator, nodes in about["unknown"].items():
    print(f"{operator} is not in the vocabulary, used by {', '.join(nodes)}")

device = make_device({"threads": 1})
with open_profiler(device) as profiler:
    print(f"{profiler.profile(content, device).median_ms:.3f} ms on this CPU")
