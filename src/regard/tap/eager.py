"""Recognising eager (explicit) softmax attention: matmul, softmax, matmul.

Between the first product and the softmax come scales, masks and soft caps; between the softmax and
the second product come casts and dropout. Both are followed by identity: the softmax must have the
shape of the last product, and the map is whatever the softmax became by functions that keep its
shape. Only at the second product are query, key, value and weights all known; there edits are made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SOFTMAX = frozenset(
    {functional.softmax, torch.softmax, torch.special.softmax, torch.Tensor.softmax}
)
MATMUL = frozenset(
    {
        torch.matmul,
        torch.bmm,
        torch.baddbmm,
        torch.Tensor.matmul,
        torch.Tensor.bmm,
        torch.Tensor.baddbmm,
        torch.Tensor.__matmul__,
    }
)
HEAD_COUNTS = ("heads", "num_heads", "num_attention_heads", "n_heads")


@dataclass
class Pending:
    """A softmax that will be attention if it meets its values.

    Attributes:
        query: First operand of the product before the softmax.
        key: Second operand, transposed back.
        scores: What the softmax was taken of.
        map: The weights so far.
        steps: What was done to them since the softmax, to be done again to edited weights.
    """

    query: Tensor
    key: Tensor
    scores: Tensor
    map: Tensor
    steps: list[Callable[[Tensor], Tensor]] = field(default_factory=list)

    def follow(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        """Run a function on the map, and keep track of the map if it keeps its shape."""
        result = func(*args, **kwargs)
        if torch.is_tensor(result) and result.shape == self.map.shape:
            self.map = result
            self.steps.append(lambda weights: func(weights, *args[1:], **kwargs))
        return result

    def again(self, weights: Tensor) -> Tensor:
        """Other weights, in the model's shape, with the same done to them."""
        weights = weights.reshape(self.scores.shape).to(self.scores.dtype)
        for step in self.steps:
            weights = step(weights)
        return weights.to(self.map.dtype)


def operands(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Tensor, Tensor] | None:
    """The two factors of a matrix product, if they can be those of q and k."""
    names = {"input": 0, "mat2": 1, "other": 1, "batch1": 1, "batch2": 2}
    given = dict(enumerate(args)) | {names[k]: v for k, v in kwargs.items() if k in names}
    first = 1 if func in (torch.baddbmm, torch.Tensor.baddbmm) else 0
    left, right = given.get(first), given.get(first + 1)
    if not (torch.is_tensor(left) and torch.is_tensor(right) and left.ndim in (3, 4)):
        return None
    return left, right


def attention_of(
    product: tuple[Tensor, Tensor] | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    result: Tensor,
) -> Pending | None:
    """A softmax of this product over its last axis, or None if it is not that."""
    scores, over_last = _softmax_of(args, kwargs)
    if product is None or not over_last:
        return None
    query, key = product
    if key.ndim != query.ndim or (*query.shape[:-1], key.shape[-1]) != scores.shape:
        return None
    return Pending(query, key.mT, scores, result)


def may_be_attention(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a softmax is over the last of three axes or more: two are those of a classifier.

    Example:
        >>> [may_be_attention((torch.ones(*shape), -1), {}) for shape in ((2, 3, 3), (2, 3))]
        [True, False]
    """
    scores, over_last = _softmax_of(args, kwargs)
    return over_last and scores.ndim >= 3


def _softmax_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, bool]:
    """What a softmax is taken of, and whether over its last axis."""
    scores = args[0] if args else kwargs["input"]
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return scores, dim in (-1, scores.ndim - 1)


def heads_of(module: nn.Module, folded: int) -> int:
    """How many heads a module folds into a leading axis of this length; 1 if it does not say."""
    for name in HEAD_COUNTS:
        heads = getattr(module, name, None)
        if isinstance(heads, int) and heads > 0 and folded % heads == 0:
            return heads
    return 1


def unfolded(tensor: Tensor, heads: int) -> Tensor:
    """[batch*head, ...] to [batch, head, ...]; four axes stay as they are."""
    return tensor.unflatten(0, (-1, heads)) if tensor.ndim == 3 else tensor
