"""What is measured: devices and ONNX Runtime timing."""
