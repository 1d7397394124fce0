"""Which patch of another image shows the same part, by the features of a denoiser."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from regard.measures.levels import otsu_level_of_rows

CHUNK = 512
"""Patches whose distances to all others are held at a time."""


@dataclass(frozen=True)
class Matches:
    """For each patch of an image the patch of another that is most like it.

    Attributes:
        image: The number of the other image.
        patch: The number of its patch.
        close: Whether the two are closer than Otsu's threshold of all distances.
    """

    image: Int[Tensor, " patch"]
    patch: Int[Tensor, " patch"]
    close: Bool[Tensor, " patch"]


def matches(
    features: Float[Tensor, "image channel y x"],
    masks: Bool[Tensor, "image patch"],
    image: int,
    sources: list[int],
) -> Matches | None:
    """Match the patches of one image with those that others have of the subject.

    Args:
        features: Of all images, on the grid of the masks.
        masks: Where each shows the subject.
        image: Which is matched.
        sources: The images it is matched with.

    Returns:
        The matches; None if no other image shows the subject.

    Source:
        Tang et al. (2023), "Emergent Correspondence from Image Diffusion", arXiv 2306.03881,
        section 3. Tewel et al. (2024), arXiv 2402.03286, section 4.3.
    """
    there = [each for each in sources if each != image and bool(masks[each].any())]
    if not there:
        return None
    directions = functional.normalize(features.flatten(2).float(), dim=1)
    own = directions[image].mT
    others = torch.cat([directions[each][:, masks[each]] for each in there], 1)
    best = [(part @ others).max(1) for part in own.split(CHUNK)]
    distance = 1 - torch.cat([each.values for each in best])
    nearest = torch.cat([each.indices for each in best])
    numbers = torch.cat([torch.full_like(masks[e].nonzero()[:, 0], e) for e in there])
    patches = torch.cat([masks[each].nonzero()[:, 0] for each in there])
    close = distance < otsu_level_of_rows(distance.cpu()).to(distance.device)
    return Matches(numbers[nearest], patches[nearest], close)


def smoothed(features: Float[Tensor, "image channel y x"]) -> Float[Tensor, "image channel y x"]:
    """Features after a Gaussian of standard deviation 1 over 3 x 3 cells, with zeros around.

    Example:
        >>> point = torch.zeros(1, 1, 3, 3)
        >>> point[..., 1, 1] = 1.0
        >>> smoothed(point)[0, 0, 1]
        tensor([0.1238, 0.2042, 0.1238])
    """
    line = torch.exp(-torch.tensor([1.0, 0.0, 1.0]) / 2)
    kernel = torch.outer(line, line) / line.sum() ** 2
    channels = features.shape[1]
    weight = kernel.to(features).expand(channels, 1, 3, 3)
    return functional.conv2d(features, weight, padding=1, groups=channels)
