"""Any torch module as an ONNX file, by torch's tracing exporter, which needs `onnx` and nothing else."""

import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from search_spaces.interchange.weight_folding import fold_weights

OPSET = 18
BATCH = "N"


def export_module(
    module: nn.Module, example: Tensor, *, input_name: str, metadata: dict[str, str] | None = None
) -> bytes:
    """The ONNX file of a module with one input and the output `logits`, axis 0 of both symbolic.

    Batch norm is folded where it can be, and weights that the module slices or reshapes are written as they are used.

    Args:
        module: in evaluation mode.
        example: an input with a batch of 1; only its shape and type matter.
        input_name: what the input is called in the file.
        metadata: what to write into the model's `metadata_props`.

    Raises:
        ValueError: the module does not return one tensor, or torch cannot export it; torch's reason is given.
    """
    with torch.no_grad():
        output = module(example)
    if not isinstance(output, Tensor):
        raise ValueError(f"a module of a space must return one tensor of logits, got {type(output).__name__}")
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            # The exporter says of itself that a newer one exists; that one takes seconds and another package.
            warnings.simplefilter("ignore", DeprecationWarning)
            # What the module decided while it was traced is fixed, as a subnet wants it; whoever exports compares.
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]  # public, not in __all__
            path = Path(folder, "model.onnx")
            torch.onnx.export(
                module,
                (example,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[input_name],
                output_names=["logits"],
                dynamic_axes={input_name: {0: BATCH}, "logits": {0: BATCH}},
            )
            content = path.read_bytes()
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError) as error:
        reason = str(error).strip().splitlines()
        raise ValueError(f"torch cannot export this module: {reason[0] if reason else type(error).__name__}") from error
    model = fold_weights(onnx.load_model_from_string(content))
    onnx.helper.set_model_props(model, metadata or {})
    return bytes(model.SerializeToString())
