"""Which tensors a supernet holds beside the plain shared ones."""

from pydantic import BaseModel, ConfigDict, Field


class SupernetSettings(BaseModel):
    """How networks come to their weights; by default they take slices of shared tensors, and nothing is added.

    Attributes:
        kernel_transformation: whether a smaller convolution kernel is a learned linear map of the centre of the next
            larger one (Once-for-All, arXiv 1908.09791).
        experts: copies of each shared weight, which a router mixes for each architecture (mixture-of-supernets,
            arXiv 2306.04845); 1 for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kernel_transformation: bool = False
    experts: int = Field(default=1, ge=1, le=16)
