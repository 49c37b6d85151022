"""What a model that comes from outside may use while it is measured."""

from dataclasses import dataclass, fields

GIB = 1 << 30

MAX_MODEL_BYTES = 2 * GIB - 1
"""No protobuf message is larger, so no ONNX file that holds its own data is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on one model. Memory in bytes, time in seconds.

    Attributes:
        model_bytes: size of the ONNX file.
        memory_bytes: address space that the model may take beyond what the idle process holds; also the
            largest tensor that a model may declare.
        cpu_s: processor time of all threads together.
        wall_s: time to read, load and run the model; what it waits for the device or for other models is left out.
        queue_s: time to wait for the device while another process measures on it.

    Raises:
        ValueError: a limit that is not a positive number.
    """

    model_bytes: int = GIB // 2
    memory_bytes: int = 4 * GIB
    cpu_s: float = 600.0
    wall_s: float = 120.0
    queue_s: float = 3600.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < float("inf"):
                raise ValueError(f"limit {field.name} must be a positive number (got {value!r})")
        if self.model_bytes > MAX_MODEL_BYTES:
            raise ValueError(f"limit model_bytes must be at most {MAX_MODEL_BYTES:,} (got {self.model_bytes:,})")
