"""Filters of singular values: what is left of keys and values that one image lends to others.

A matrix of keys or values has a row for each patch. Its leading components are thought to carry the
subject and the others the background; a filter keeps some, or gives them other weights.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from regard.arguments import number_or_none, shown
from regard.errors import ArgumentError

Shape = Literal["exponential", "log", "log2", "power", "scaled-log"]
"""How singular values σ that are kept are weighed:

``exponential`` σ e^(aσ); ``log`` max(ln σ, 0); ``log2`` its square; ``power`` σ^a; ``scaled-log``
ln(1 + aσ / σ₁), which does not depend on the scale of the matrix.
"""

AMOUNTS = {"exponential": 0.01, "power": 0.5, "scaled-log": 10.0}
"""The a of each shape that has one, where none is given."""


@dataclass(frozen=True)
class SpectrumFilter:
    """Which singular values are kept, and how they are weighed; nothing for all as they are.

    Attributes:
        rank: Keep so many.
        share: Keep the largest ones down to the quantile 1 - share of all.
        energy: Keep the fewest whose squares make up more than this share of all squares.
        shape: How those that are kept are weighed; all together then have the norm that those
            kept had.
        amount: The a of ``shape``.
        centred: Whether the mean row is subtracted before and added again after.
        joint: Whether matrices that are filtered together share one norm, as in the released code;
            else each keeps its own.

    Raises:
        ArgumentError: more than one way to keep; a rank below 1, a share or an energy outside
            0..1, an unknown shape, or an amount that it cannot have.

    Example:
        >>> SpectrumFilter(energy=0.9).apply(torch.tensor([10.0, 3.0, 1.0, 0.5]))
        tensor([10.,  0.,  0.,  0.])

    Source:
        E. Grishina (2025), coursework on personalised generation, HSE, section 3: share, energy,
        exponential, log, log2 and the norm of one matrix.

    Differs from the paper:
        At least one value is kept, and the one that crosses the energy is. Power and scaled-log
        are ours.
    """

    rank: int | None = None
    share: float | None = None
    energy: float | None = None
    shape: Shape | None = None
    amount: float | None = None
    centred: bool = False
    joint: bool = False

    def __post_init__(self) -> None:
        ways = [name for name in ("rank", "share", "energy") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise _wrong(f"{' and '.join(ways)} are given; give one of them")
        if self.rank is not None and (
            isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1
        ):
            raise _wrong(f"rank is {shown(self.rank)} and must be a whole number of 1 or more")
        for name in ("share", "energy"):
            value = getattr(self, name)
            number = None if value is None else number_or_none(value)
            if value is not None and (number is None or not 0 < number <= 1):
                raise _wrong(f"{name} is {shown(value)} and must be above 0 and at most 1")
        if self.shape is not None and self.shape not in get_args(Shape):
            known = ", ".join(get_args(Shape))
            raise _wrong(f"shape is {shown(self.shape)} and must be one of {known}")
        self._check_amount()

    def _check_amount(self) -> None:
        if self.amount is None:
            return
        number = number_or_none(self.amount)
        if self.shape not in AMOUNTS:
            raise _wrong(f"amount is given, and {self.shape or 'no shape'} has none")
        if number is None or (self.shape == "scaled-log" and number <= 0):
            raise _wrong(
                f"amount is {shown(self.amount)} and must be a number that {self.shape} takes"
            )

    @property
    def neutral(self) -> bool:
        """Whether it leaves every matrix as it is."""
        kept_all = self.rank is None and self.share in (None, 1) and self.energy in (None, 1)
        return kept_all and self.shape is None

    def apply(self, values: Tensor) -> Tensor:
        """New singular values.

        Args:
            values: Of each matrix, falling, 0 or more, [..., value].

        Returns:
            As many, of the same shape; 0 for those that are not kept.
        """
        kept = values * self.keeps(values)
        if self.shape is None:
            return kept
        weighed = torch.where(kept > 0, self._weighed(kept), 0.0)
        over = tuple(range(values.ndim)) if self.joint else -1
        before, after = (each.square().sum(over, keepdim=True).sqrt() for each in (kept, weighed))
        # A spectrum that the logarithm deletes whole has no norm to give back.
        return torch.where(after > 0, weighed * before / after, 0.0)

    def keeps(self, values: Tensor) -> Tensor:
        """Which singular values are kept, bool [..., value]: the first one always.

        Args:
            values: As for `apply`.
        """
        place = torch.arange(values.shape[-1], device=values.device)
        if self.rank is not None:
            kept = (place < self.rank).expand(values.shape)
        elif self.share is not None:
            kept = values >= torch.quantile(values, 1 - self.share, dim=-1, keepdim=True)
        elif self.energy is not None:
            squares = values.square()
            part = squares.cumsum(-1) / squares.sum(-1, keepdim=True)
            kept = part - squares / squares.sum(-1, keepdim=True) <= self.energy
        else:
            kept = torch.ones_like(values, dtype=torch.bool)
        return kept | (place == 0)

    def _weighed(self, values: Tensor) -> Tensor:
        a = AMOUNTS.get(str(self.shape), 0.0) if self.amount is None else self.amount
        if self.shape == "exponential":
            return values * (a * values).exp()
        if self.shape == "power":
            return values**a
        if self.shape == "scaled-log":
            return torch.log1p(a * values / values[..., :1])
        log = values.log().clamp(min=0.0)
        return log if self.shape == "log" else log.square()


def filtered(matrices: Tensor, how: SpectrumFilter) -> tuple[Tensor, Tensor]:
    """Matrices with new singular values, without a singular value decomposition.

    With the eigenvectors W of MᵀM and its eigenvalues σ², the filtered matrix is
    M W diag(g(σ) / σ) Wᵀ: the decomposition is of the narrower side alone.

    Args:
        matrices: [..., row, column]; such as the keys of each head, or of all heads side by side.
        how: The filter.

    Returns:
        As many matrices, in the same dtype; and their singular values before, falling, float64
        [..., value], as many as the narrower side.

    Example:
        >>> found, values = filtered(torch.diag(torch.tensor([3.0, 2.0])), SpectrumFilter(rank=1))
        >>> found
        tensor([[3., 0.],
                [0., 0.]])
        >>> values
        tensor([3., 2.], dtype=torch.float64)
    """
    exact = matrices.double()
    middle = exact.mean(-2, keepdim=True) if how.centred else torch.zeros_like(exact[..., :1, :])
    exact = exact - middle
    tall = exact.shape[-2] >= exact.shape[-1]
    gram = exact.mT @ exact if tall else exact @ exact.mT
    squares, vectors = torch.linalg.eigh(gram)  # rising
    squares, vectors = squares.flip(-1).clamp(min=0.0), vectors.flip(-1)
    values = squares.sqrt()
    if how.neutral:
        return matrices, values
    # What is 0 but for rounding has no direction.
    known = values > values[..., :1] * 1e-7
    factor = torch.where(known, how.apply(values) / torch.where(known, values, 1.0), 0.0)
    turned = vectors * factor[..., None, :] @ vectors.mT
    found = exact @ turned if tall else turned @ exact
    return (found + middle).to(matrices.dtype), values


def _wrong(why: str) -> ArgumentError:
    return ArgumentError(f"SpectrumFilter: {why}.")
