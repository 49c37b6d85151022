"""What is measured: devices and ONNX Runtime timing.

A device says where a model runs (`host.HostDevice`, made from a job file by `registry.make_device`); a
profiler measures ONNX bytes on it (`registry.open_profiler`) and answers with a
`measurement.Measurement`. Errors are drawn in `errors`.
"""
