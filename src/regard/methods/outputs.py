"""Outputs of heads and of whole layers: scale or silence them.

With neutral settings the image is bit for bit the one without.
"""

from collections.abc import Mapping
from typing import Any, SupportsIndex

from regard.arguments import shown, whole, whole_or_none
from regard.errors import ArgumentError
from regard.layers import one_layer
from regard.methods.everywhere import check_factor, everywhere
from regard.methods.method import method
from regard.methods.run import Changes, Plan, Run
from regard.methods.where import EVERYWHERE, Where
from regard.tap import AttentionCall


@method(where=("steps", "condition"))
def scale_heads(
    layer: str | SupportsIndex,
    factors: Mapping[int, float] | Mapping[str, float],
    *,
    where: Where = EVERYWHERE,
) -> Plan:
    """Multiply the output of heads of one layer: 1 changes nothing, 0 silences a head.

    Args:
        layer: The path of the layer, whole names in it that only it has, or its number in running
            order.
        factors: The factor of each head, by its number; as text too, as JSON has it.
        where: Steps and condition; see `Where`.

    Returns:
        A method.

    Raises:
        ArgumentError: no heads, or a factor that is no finite number; in a run, a head that the
            layer lacks, names that several layers have, or as for `drop`.
        UnknownName: in a run, no layer has such a path.

    Example:
        >>> scale_heads("mid_block", {0: 0.0}).recipe()
        {'method': 'scale-heads', 'layer': 'mid_block', 'factors': {'0': 0.0}}

    Source:
        Michel et al. (2019), "Are Sixteen Heads Really Better than One?", section 2.
    """
    if not isinstance(layer, str) and whole_or_none(layer) is None:
        raise ArgumentError(
            f"scale_heads: layer is {shown(layer)} and must be the path of one layer, names in it, "
            f"or its number in running order, such as -1."
        )
    by_head = _by_head(factors)
    if not by_head:
        raise ArgumentError("scale_heads: factors are empty. Name a head, such as {0: 0.0}.")
    for head, factor in by_head.items():
        check_factor("scale_heads", f"the factor of head {head}", factor)

    def plan(run: Run) -> Changes:
        found = one_layer(run.model.layers, layer, caller="scale_heads")
        path = found.path
        _check_heads(path, by_head, found.heads)
        there = Where(where.steps, path, condition=where.condition)

        def multiply(call: AttentionCall) -> None:
            if call.layer == path:
                call.scale_heads(by_head)

        return everywhere(scale_heads, run, there, multiply)

    return plan


@method
def scale_layers(factor: float = 0.0, *, where: Where = EVERYWHERE) -> Plan:
    """Multiply the output of whole layers before its projection: 0 leaves the residual stream.

    Args:
        factor: 1 changes nothing, 0 silences the layers.
        where: See `Where`.

    Returns:
        A method.

    Raises:
        ArgumentError: a factor that is no finite number; in a run, as for `drop`.
        UnknownName: in a run, a layer that is not there.

    Example:
        >>> scale_layers(0.5, where=Where(stage="up", kind="cross")).recipe()
        {'method': 'scale-layers', 'factor': 0.5, 'where': {'stage': 'up', 'kind': 'cross'}}

    Source:
        Michel et al. (2019), "Are Sixteen Heads Really Better than One?", for all heads of a layer.
        The bias of the output projection stays.
    """
    check_factor("scale_layers", "factor", factor)

    def multiply(call: AttentionCall) -> None:
        if factor != 1.0:
            call.scale_heads(dict.fromkeys(range(call.shape[1]), factor))

    return lambda run: everywhere(scale_layers, run, where, multiply)


# Inside


def _by_head(factors: Any) -> dict[int, float]:
    """From the number of each head, which JSON has as text, to its factor."""
    if not isinstance(factors, Mapping):
        raise ArgumentError(
            f"scale_heads: factors is {shown(factors)} and must give each head a factor, such as "
            f"{{0: 0.0}}."
        )
    by_head: dict[int, float] = {}
    for head, factor in factors.items():
        as_text = isinstance(head, str) and head.isascii() and head.isdigit()
        number = int(head) if as_text else whole(head, "a head", "scale_heads", least=0)
        by_head[number] = factor
    return by_head


def _check_heads(layer: str, factors: Mapping[int, float], heads: int) -> None:
    wrong = [head for head in factors if not 0 <= head < heads]
    if wrong:
        raise ArgumentError(f"scale_heads: {layer} has heads 0..{heads - 1}, not {wrong[0]}.")
