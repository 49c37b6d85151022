"""Which random changes training images go through, beside moving and mirroring."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, le=1)]
Amount = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ColorJitter(_Section):
    """By how much colours change at most, either way; 0 leaves them.

    Attributes:
        brightness: share of the pixel range.
        contrast: share of the deviation from the mean.
        saturation: share of the colour; for three channels only.
        hue: turns of the colour wheel; for three channels only.
    """

    brightness: Amount = 0.2
    contrast: Amount = 0.2
    saturation: Amount = 0.0
    hue: float = Field(default=0.0, ge=0, le=0.5)


class RandAugment(_Section):
    """Some of fifteen changes of colour and geometry, or fourteen for one channel (Cubuk et al., arXiv 1909.13719).

    Attributes:
        n: how many a batch goes through, one after the other.
        m: their magnitude, of 30.
    """

    n: int = Field(default=2, ge=1, le=14)
    m: int = Field(default=10, ge=1, le=29)


class AugmentationSettings(_Section):
    """Changes in the order in which they are made; what is null is left out.

    Attributes:
        random_resized_crop: smallest share of the image that is cut out and resized to the whole.
        color_jitter: random changes of colour, for one or three channels.
        randaugment: RandAugment, for one or three channels.
        random_erasing: share of the images in which a random box is set to zero, the mean of normalised images.
    """

    random_resized_crop: Share | None = None
    color_jitter: ColorJitter | None = None
    randaugment: RandAugment | None = None
    random_erasing: Share | None = None

    def scaled(self, strength: float) -> "AugmentationSettings | None":
        """The same changes by so many times their amount, as far as each goes; None where nothing is left."""
        crop, jitter, augment, erasing = (
            self.random_resized_crop,
            self.color_jitter,
            self.randaugment,
            self.random_erasing,
        )
        magnitude = 0 if augment is None else min(29, round(augment.m * strength))
        changes: dict[str, object] = {}
        if crop is not None and strength > 0:
            changes["random_resized_crop"] = max(0.01, 1 - (1 - crop) * strength)
        if jitter is not None and strength > 0:
            amounts = {name: min(1.0, amount * strength) for name, amount in jitter.model_dump().items()}
            changes["color_jitter"] = ColorJitter(**{**amounts, "hue": min(0.5, amounts["hue"])})
        if augment is not None and magnitude > 0:
            changes["randaugment"] = RandAugment(n=augment.n, m=magnitude)
        if erasing is not None and strength > 0:
            changes["random_erasing"] = min(1.0, erasing * strength)
        return self.model_validate(changes) if changes else None

    def check(self, channels: int) -> None:
        """Check that images of so many channels can be changed like this.

        Raises:
            ValueError: they cannot.
        """
        for name in ("color_jitter", "randaugment"):
            if getattr(self, name) is not None and channels not in (1, 3):
                raise ValueError(f"augmentation.{name} is for images of 1 or 3 channels, these have {channels}")
        if channels != 3 and self.color_jitter is not None:
            for name in ("saturation", "hue"):
                if amount := getattr(self.color_jitter, name):
                    raise ValueError(
                        f"augmentation.color_jitter.{name} is {amount:g}, but only images of 3 channels have a {name}, "
                        f"these have {channels}"
                    )
