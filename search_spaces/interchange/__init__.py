"""Networks as ONNX files: written, read back, folded."""
