"""What happens to image tensors on their way into a network."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Images (N, C, H, W) at another size: bilinear, smoothed first where they shrink."""
    if images.shape[2:] == (height, width):
        return images
    return functional.interpolate(images, (height, width), mode="bilinear", antialias=True, align_corners=False)


def augment(images: Tensor, rng: np.random.Generator, *, shift: int, flip: bool) -> Tensor:
    """Random translations and mirror images, drawn for each image.

    Args:
        images: (N, C, H, W).
        rng: where the randomness comes from; the result depends on it and the images only.
        shift: pixels by which an image may move up, down, left or right; what moves in is zero.
        flip: whether half of the images are mirrored left to right.

    Returns:
        (N, C, H, W), or `images` itself where nothing is asked for.
    """
    count, channels, height, width = images.shape
    columns = torch.arange(width).expand(count, width)
    if flip:
        mirrored = torch.from_numpy(rng.random(count) < 0.5)
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    if shift:
        images = functional.pad(images, [shift] * 4)
        down, right = torch.from_numpy(rng.integers(0, 2 * shift + 1, (2, count)))
        rows = torch.arange(height) + down[:, None]  # (N, H)
        columns = columns + right[:, None]  # (N, W)
    elif flip:
        rows = torch.arange(height).expand(count, height)
    else:
        return images
    # one gather over the flattened pixels: (N, 1, H * W) indices into (N, C, H' * W')
    places = (rows[:, :, None] * images.shape[3] + columns[:, None, :]).reshape(count, 1, -1).to(images.device)
    picked = images.flatten(2).gather(2, places.expand(count, channels, height * width))
    return picked.view(count, channels, height, width)
