"""Do made images, taken together, look like real ones? FID and KID over any encoder.

The arithmetic is that of torchmetrics; the features are those of the encoder that is given. Only
the Inception network of the papers gives numbers that may be held against published ones.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from regard.errors import ArgumentError, need
from regard.measures.about import PICTURES, measure
from regard.scores.pairs import BATCH, features, open_encoder

ENOUGH_FOR_FID = 10_000
"""Pictures on each side from which on papers quote FID; its bias falls with 1/n."""


@measure(
    unit="1",
    high="unbounded",
    higher="further apart",
    reads=PICTURES,
    reduce="the whole set at once",
)
def fid(
    real: Sequence[Any],
    made: Sequence[Any],
    *,
    encoder: Any = "openmoji-clip",
    batch: int = BATCH,
) -> xr.DataArray:
    """How far two sets of images are apart as two normal clouds of features: 0 where they agree.

    Few images make it too large, and in another measure for each model; ``attrs["warning"]``
    says so. For some hundreds of images `kid` is the better one.

    Args:
        real: PIL images, uint8 arrays, or `regard.data.pictures.pictures`; two or more.
        made: Others; their number need not be the same.
        encoder: What `regard.models.encoder.encoder` takes, such as a function from images to the
            2048 features of an Inception network.
        batch: How many are encoded at a time; only sums over the images are kept.

    Returns:
        A scalar in squared units of the features; round-off may leave it a little below 0.

    Raises:
        ArgumentError: a side has fewer than two images.
        DataError: the encoder cannot be opened, or an image not be read.
        MissingDependency: torchmetrics is not installed.

    Example:
        >>> from regard.data import scene
        >>> few = [scene(i).image for i in range(4)]
        >>> fid(few, few).round(3).item() == 0
        True

    Source:
        Heusel et al. (2017), "GANs Trained by a Two Time-Scale Update Rule Converge to a Local
        Nash Equilibrium", eq. 6, arXiv 1706.08500; computed by torchmetrics. Its bias: Chong and
        Forsyth (2020), "Effectively Unbiased FID and Inception Score and where to find them".
    """
    _check_numbers("fid", real, made)
    library = need("torchmetrics.image.fid", extra="metrics", caller="fid")
    which = open_encoder(encoder)
    width = int(features(which, real[:1], batch=1, caller="fid").shape[1])
    metric = library.FrechetInceptionDistance(feature=_features_as_given(width))
    for pictures, is_real in ((real, True), (made, False)):
        for first in range(0, len(pictures), batch):
            part = features(which, pictures[first : first + batch], batch=batch, caller="fid")
            # float64: differences of large sums are taken of them.
            metric.update(part.double(), real=is_real)
    told = {"warning": _few_for_fid(min(len(real), len(made)), width), "features": width}
    return _scalar("fid", metric.compute(), which, real, made, told)


@measure(
    unit="1",
    low="a little below 0",
    high="unbounded",
    higher="further apart",
    reads=PICTURES,
    reduce="over random subsets",
)
def kid(
    real: Sequence[Any],
    made: Sequence[Any],
    *,
    encoder: Any = "openmoji-clip",
    subsets: int = 100,
    subset_size: int | None = None,
    seed: int = 0,
    batch: int = BATCH,
) -> xr.DataArray:
    """How far two sets of images are apart by a kernel on their features: 0 where they agree.

    It is unbiased, so small sets may be compared with large ones, and it may be below 0.

    Args:
        real: As for `fid`.
        made: As for `fid`.
        encoder: As for `fid`.
        subsets: How many random subsets to take the mean over.
        subset_size: Images in each; by default 1000 as in the paper, or half of the smaller set
            where that is less, so that the subsets differ.
        seed: Of the subsets.
        batch: How many are encoded at a time.

    Returns:
        A scalar. ``attrs["error"]`` is its standard error, from how far the subsets differ: rather
        too large than too small, NaN where a subset is a whole set. ``attrs["subset_size"]`` is
        the size that was taken.

    Raises:
        ArgumentError: a side has fewer than four images, or a subset would be larger than a set.
        DataError: the encoder cannot be opened, or an image not be read.
        MissingDependency: torchmetrics is not installed.

    Example:
        >>> from regard.data import scene
        >>> few, others = ([scene(i).image for i in range(n, n + 8)] for n in (0, 8))
        >>> kid(few, others).attrs["subset_size"]
        4

    Source:
        Binkowski et al. (2018), "Demystifying MMD GANs", section 4, arXiv 1801.01401; computed by
        torchmetrics. Standard error: Shao and Wu (1989), "A General Theory for Jackknife Variance
        Estimation", the jackknife that deletes many at a time.
    """
    least = min(len(real), len(made))
    _check_numbers("kid", real, made, least=4)
    size = min(1000, least // 2) if subset_size is None else subset_size
    if not 2 <= size <= least or subsets < 2:
        raise ArgumentError(
            f"kid: {subsets} subsets of {size} images cannot be sampled from {least}. "
            f"Take 2 subsets or more, of 2 to {least} images."
        )
    library = need("torchmetrics.image.kid", extra="metrics", caller="kid")
    import torch

    which = open_encoder(encoder)
    with warnings.catch_warnings():
        # It warns each user of its memory; features of a million images are what it needs.
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance`")
        metric = library.KernelInceptionDistance(
            feature=torch.nn.Identity(), subsets=subsets, subset_size=size
        )
    for pictures, is_real in ((real, True), (made, False)):
        rows = features(which, pictures, batch=batch, caller="kid")
        metric.update(rows.double(), real=is_real)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, spread = metric.compute()
    told = {
        "error": _error_of_the_whole(float(spread), size, least),
        "subsets": subsets,
        "subset_size": size,
        "seed": seed,
        "warning": "" if size == 1000 else f"subsets of {size} images; papers take 1000",
    }
    return _scalar("kid", mean, which, real, made, told)


def _error_of_the_whole(spread: float, size: int, number: int) -> float:
    """The standard error with ``number`` images, from the spread over subsets of ``size``.

    Subsets sampled without replacement from one set resemble each other, the more so the larger
    they are; and a smaller set varies more. Both together make the factor below.
    """
    return spread * (size / (number - size)) ** 0.5 if size < number else float("nan")


def _features_as_given(width: int) -> Any:
    """What torchmetrics takes for a network: features pass through as they are."""
    import torch

    passing = torch.nn.Identity()
    passing.num_features = width  # or it would try an image to see how many there are
    return passing


def _few_for_fid(number: int, width: int) -> str:
    if number <= width:
        return (
            f"{number} images for {width} features: the covariance has not full rank, "
            f"and the value is far too large; prefer kid"
        )
    if number < ENOUGH_FOR_FID:
        return f"{number} images; with fewer than {ENOUGH_FOR_FID} the value is too large"
    return ""


def _check_numbers(caller: str, real: Sequence[Any], made: Sequence[Any], least: int = 2) -> None:
    if min(len(real), len(made)) < least:
        raise ArgumentError(
            f"{caller}: got {len(real)} real and {len(made)} made images, and needs at least "
            f"{least} of each; many more to mean something."
        )


def _scalar(
    name: str,
    value: Any,
    which: Any,
    real: Sequence[Any],
    made: Sequence[Any],
    told: dict[str, Any],
) -> xr.DataArray:
    numbers = {"real": len(real), "made": len(made), "encoder": which.name, **which.recipe}
    found = xr.DataArray(np.float64(float(value)), name=name)
    return found.assign_attrs({"units": "1", **numbers, **told})
