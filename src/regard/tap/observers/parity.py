"""Whether the weights that are read explain what the model computed."""

import torch

from regard.errors import NothingObserved
from regard.tap.call import AttentionCall
from regard.tap.weights import Fused  # noqa: F401  for the example


class Parity:
    """How well the weights explain what the model computed: the largest |P V - output|.

    P V is computed densely, in float32, and set against the layer's own output, relative to the
    largest output. Only the first call of each layer is compared. Memory: 64 rows of one map.

    Example:
        >>> query, value = torch.zeros(1, 1, 2, 4), torch.tensor([[[[0.0], [2.0]]]])
        >>> call = AttentionCall(Fused(query, query), value, output=torch.ones(1, 1, 2, 1))
        >>> parity = Parity()
        >>> parity(call)
        >>> parity.result()
        0.0
    """

    def __init__(self) -> None:
        self._errors: dict[tuple[str, int], float] = {}

    def __call__(self, call: AttentionCall) -> None:
        """Compare one call, if it is the first of its layer."""
        if (call.layer, call.index) not in self._errors:
            self._errors[call.layer, call.index] = _parity_error(call)

    def result(self) -> float:
        """The largest error of any layer: 0.0 is exact, about 1e-6 is rounding in float32.

        Raises:
            NothingObserved: no call was compared.
        """
        if not self._errors:
            raise NothingObserved(
                "Parity: no attention call was compared. Did the model run in the block?"
            )
        return max(self._errors.values())


@torch.no_grad()
def _parity_error(call: AttentionCall) -> float:
    assert call.output is not None, "observers run after the layer"
    value = call.weights.widened(call.value).float()
    output = call.output.float()
    worst = 0.0
    for rows, probs in call.row_chunks():
        expected = probs @ value
        if call.head_factors is not None:
            expected = expected * call.head_factors
        worst = max(worst, (expected - output[..., rows, :]).abs().max().item())
    return worst / max(output.abs().max().item(), torch.finfo(torch.float32).tiny)
