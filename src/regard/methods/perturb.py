"""Interventions: drop or scale words, heads and layers, or bend the attention that there is.

Each is a function that returns a `Method`. They compose: each edits what the ones before it left.
With neutral settings the picture is bit for bit the one without.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, SupportsIndex

import torch

from regard.arguments import number_or_none, shown, whole, whole_or_none
from regard.errors import ArgumentError
from regard.layers import one_layer
from regard.methods.method import Changes, Plan, Run, method
from regard.methods.where import Layers, Steps, Where, listed
from regard.tap import AttentionCall, Edit, layer_infos


@method
def drop(
    words: str | Sequence[str],
    *,
    steps: Steps = None,
    layers: Layers = None,
    stage: str | None = None,
    condition: str = "cond",
) -> Plan:
    """Hide words from the image; what is left of each row of attention still sums to 1.

    Args:
        words: A word of the prompt or several, ``cat#2`` for the second cat; ``[start]``,
            ``[end]`` and ``[pad]`` stand for the tokens around them.
        steps: One step, a range, or its first step and the one after its last; None for all.
        layers: A path or whole names in it, such as ``up_blocks.1``, a stage, a kind, a grid such
            as ``16x16``, a number in running order among the layers that could be meant (-1 is the
            last), or several; None for all.
        stage: ``down``, ``mid`` or ``up``; None for all.
        condition: ``cond``, the half of the guidance that reads the prompt, ``uncond`` or ``both``.

    Returns:
        A method.

    Raises:
        ArgumentError: no words, or another argument that cannot be; in a run, steps that it has
            not, or no token that would be left.
        UnknownName: in a run, a word that the prompt has not, or a layer that is not there.

    Example:
        >>> drop(["dog", "red"], steps=range(10)).recipe()
        {'method': 'drop', 'words': ['dog', 'red'], 'steps': [0, 10]}

    Source:
        Scores of -inf before the softmax; see Hertz et al. (2022), arXiv 2208.01626, section 3.3,
        for the weights after it, which do not sum to 1.
    """
    asked, where = listed(words, "drop"), Where("drop", steps, layers, stage, None, condition)

    def edit(tokens: list[int]) -> Edit:
        def hide(call: AttentionCall) -> None:
            keys, before = _text_keys(call, tokens), call.bias
            call.mask_keys(keys)
            if _all_hidden(call, keys, alone=before is None):
                raise ArgumentError(
                    f"drop: with {', '.join(asked)} gone no token of the prompt is left to attend "
                    f"to. Keep one, such as [start]."
                )

        return hide

    return lambda run: _on_text(run, where, edit(run.prompt.spelled(asked)))


@method
def scale(
    weights: Mapping[str, float],
    *,
    renormalise: bool = False,
    steps: Steps = None,
    layers: Layers = None,
    stage: str | None = None,
    condition: str = "cond",
) -> Plan:
    """Multiply the attention that words get: 1 changes nothing, 0 takes it away.

    Args:
        weights: The factor of each word; below 0 the image turns from it.
        renormalise: Whether each row shall sum to 1 again, so that other words pay for it. If not,
            the sum changes, as in Prompt-to-Prompt.
        steps: As for `drop`.
        layers: As for `drop`.
        stage: As for `drop`.
        condition: As for `drop`.

    Returns:
        A method.

    Raises:
        ArgumentError: no words, a factor that is no finite number, or below 0 with ``renormalise``;
            or as for `drop`.
        UnknownName: as for `drop`.

    Example:
        >>> scale({"car": 2.0}).recipe()
        {'method': 'scale', 'weights': {'car': 2.0}}

    Source:
        Hertz et al. (2022), "Prompt-to-Prompt Image Editing with Cross Attention Control",
        arXiv 2208.01626, section 3.3 (attention re-weighting).
    """
    if not isinstance(weights, Mapping):
        raise ArgumentError(
            f"scale: weights is {shown(weights)} and must give each word a factor, such as "
            f"{{'cat': 2.0}}."
        )
    listed(list(weights), "scale")
    for word, factor in weights.items():
        _check_factor("scale", f"the weight of '{word}'", factor)
        if renormalise and factor < 0:
            raise ArgumentError(
                f"scale: the weight of '{word}' is {factor} and must be 0 or more with "
                f"renormalise, which keeps shares of attention."
            )
    where = Where("scale", steps, layers, stage, None, condition)

    def plan(run: Run) -> Changes:
        factors = {tuple(run.prompt.spelled([word])): each for word, each in weights.items()}

        def multiply(call: AttentionCall) -> None:
            for tokens, factor in factors.items():
                if factor != 1.0:
                    keys = _text_keys(call, tokens)
                    call.scale_keys(keys, factor, renormalise=renormalise)

        return _on_text(run, where, multiply)

    return plan


@method
def scale_heads(
    layer: str | SupportsIndex,
    factors: Mapping[int, float] | Mapping[str, float],
    *,
    steps: Steps = None,
    condition: str = "cond",
) -> Plan:
    """Multiply what heads of a layer put out: 1 changes nothing, 0 silences a head.

    Args:
        layer: The path of the layer, whole names in it that only it has, or its number in running
            order.
        factors: The factor of each head, by its number; as text too, as JSON has it.
        steps: As for `drop`.
        condition: As for `drop`.

    Returns:
        A method.

    Raises:
        ArgumentError: no heads, or a factor that is no finite number; in a run, a head that the
            layer has not, or names that several layers have.
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
    wanted = _by_head(factors)
    if not wanted:
        raise ArgumentError("scale_heads: factors are empty. Name a head, such as {0: 0.0}.")
    for head, factor in wanted.items():
        _check_factor("scale_heads", f"the factor of head {head}", factor)

    def plan(run: Run) -> Changes:
        path = one_layer(layer_infos(run.pipeline), layer, caller="scale_heads").path
        _check_heads(path, wanted, run.layers[path])
        where = Where("scale_heads", steps, path, condition=condition)

        def multiply(call: AttentionCall) -> None:
            if call.layer == path:
                call.scale_heads(wanted)

        return _everywhere(run, where, multiply)

    return plan


@method
def scale_layers(
    factor: float = 0.0,
    *,
    layers: Layers = None,
    stage: str | None = None,
    kind: str | None = None,
    steps: Steps = None,
    condition: str = "cond",
) -> Plan:
    """Multiply what whole layers put out before their projection: 0 leaves the residual stream.

    Args:
        factor: 1 changes nothing, 0 silences the layers.
        layers: As for `drop`.
        stage: As for `drop`.
        kind: ``self``, ``cross`` or ``joint``; None for all.
        steps: As for `drop`.
        condition: As for `drop`.

    Returns:
        A method.

    Raises:
        ArgumentError: a factor that is no finite number; or as for `drop`.
        UnknownName: in a run, a layer that is not there.

    Example:
        >>> scale_layers(0.5, stage="up", kind="cross").recipe()
        {'method': 'scale-layers', 'factor': 0.5, 'stage': 'up', 'kind': 'cross'}

    Source:
        Michel et al. (2019), "Are Sixteen Heads Really Better than One?", for all heads of a layer.
        What the output projection adds by itself stays.
    """
    _check_factor("scale_layers", "factor", factor)

    def multiply(call: AttentionCall) -> None:
        if factor != 1.0:
            call.scale_heads(dict.fromkeys(range(call.shape[1]), factor))

    where = Where("scale_layers", steps, layers, stage, kind, condition)
    return lambda run: _everywhere(run, where, multiply)


@method
def temperature(
    factor: float,
    *,
    kind: str | None = None,
    layers: Layers = None,
    stage: str | None = None,
    steps: Steps = None,
    condition: str = "cond",
) -> Plan:
    """Divide the scores before the softmax: above 1 attention spreads, below 1 it sharpens.

    Args:
        factor: Above 0; 1 changes nothing.
        kind: ``self``, ``cross`` or ``joint``; None for all.
        layers: As for `drop`.
        stage: As for `drop`.
        steps: As for `drop`.
        condition: As for `drop`.

    Returns:
        A method.

    Raises:
        ArgumentError: a factor that is not above 0 or not finite; or as for `drop`.
        UnknownName: in a run, a layer that is not there.

    Example:
        >>> temperature(0.7, kind="cross").recipe()
        {'method': 'temperature', 'factor': 0.7, 'kind': 'cross'}

    Source:
        Hinton et al. (2015), "Distilling the Knowledge in a Neural Network", section 2, for the
        temperature of a softmax.
    """
    if not 0 < (number_or_none(factor) or 0.0) < math.inf:
        raise ArgumentError(
            f"temperature: factor is {shown(factor)} and must be above 0 and finite. "
            f"1 changes nothing; uniform() is the limit of large ones."
        )

    def divide(call: AttentionCall) -> None:
        if factor != 1.0:
            call.temperature(factor)

    where = Where("temperature", steps, layers, stage, kind, condition)
    return lambda run: _everywhere(run, where, divide)


@method
def uniform(
    *,
    kind: str | None = None,
    layers: Layers = None,
    stage: str | None = None,
    steps: Steps = None,
    condition: str = "cond",
) -> Plan:
    """Let every query attend evenly to all keys that are not masked.

    Args:
        kind: ``self``, ``cross`` or ``joint``; None for all.
        layers: As for `drop`.
        stage: As for `drop`.
        steps: As for `drop`.
        condition: As for `drop`.

    Returns:
        A method.

    Raises:
        ArgumentError: as for `drop`.
        UnknownName: in a run, a layer that is not there.
        UnsupportedEdit: in a run, a layer that computes its scores in the open.

    Example:
        >>> uniform(kind="self", stage="mid").recipe()
        {'method': 'uniform', 'kind': 'self', 'stage': 'mid'}

    Source:
        The limit of `temperature`.
    """

    def even(call: AttentionCall) -> None:
        call.map_keys(torch.zeros_like)

    where = Where("uniform", steps, layers, stage, kind, condition)
    return lambda run: _everywhere(run, where, even)


@method
def identity(
    *,
    layers: Layers = None,
    stage: str | None = None,
    steps: Steps = None,
    condition: str = "cond",
) -> Plan:
    """Let every image patch attend to itself alone among the patches, and to text as before.

    Args:
        layers: As for `drop`.
        stage: As for `drop`.
        steps: As for `drop`.
        condition: As for `drop`.

    Returns:
        A method.

    Raises:
        ArgumentError: as for `drop`.
        UnknownName: in a run, a layer that is not there.

    Example:
        >>> identity(stage="mid").recipe()
        {'method': 'identity', 'stage': 'mid'}

    Source:
        Ahn et al. (2024), "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance",
        arXiv 2403.17377, equation 14.
    """
    where = Where("identity", steps, layers, stage, None, condition)

    def alone(call: AttentionCall) -> None:
        call.identity()

    return lambda run: _everywhere(run, where, alone, query="image", key="image")


@method
def shuffled(
    seed: int = 0,
    *,
    kind: str | None = None,
    layers: Layers = None,
    stage: str | None = None,
    steps: Steps = None,
    condition: str = "cond",
) -> Plan:
    """Give the keys of each layer's attention to one another, in an order drawn once per layer.

    How sharp attention is stays, where it goes is lost. A key that was masked stays masked.

    Args:
        seed: Of the orders.
        kind: ``self``, ``cross`` or ``joint``; None for all.
        layers: As for `drop`.
        stage: As for `drop`.
        steps: As for `drop`.
        condition: As for `drop`.

    Returns:
        A method.

    Raises:
        ArgumentError: as for `drop`.
        UnknownName: in a run, a layer that is not there.
        UnsupportedEdit: in a run, a layer that computes its scores in the open.

    Example:
        >>> shuffled(1, kind="cross").recipe()
        {'method': 'shuffled', 'seed': 1, 'kind': 'cross'}

    Source:
        Serrano and Smith (2019), "Is Attention Interpretable?", for permuted attention as a
        control.
    """
    seed = whole(seed, "seed", "shuffled", least=0, most=2**63 - 1)

    def permute(call: AttentionCall) -> None:
        draw = torch.Generator().manual_seed(seed)
        order = torch.randperm(call.shape[-1], generator=draw).to(call.key.device)
        call.map_keys(lambda keys: keys[..., order, :])

    where = Where("shuffled", steps, layers, stage, kind, condition)
    return lambda run: _everywhere(run, where, permute)


# Inside


def _everywhere(run: Run, where: Where, edit: Edit, **tokens: str) -> Changes:
    """The edit in all layers whose queries and keys have these tokens, such as key="text"."""
    select, found = where.select_in(run, **tokens), []

    def noted(call: AttentionCall) -> None:
        if not found:
            found.append(call.layer)
        edit(call)

    last = run.steps - 1 if where.span is not None else 0
    return Changes([(select, noted)], None, where.first_step, last, lambda: bool(found))


def _on_text(run: Run, where: Where, edit: Edit) -> Changes:
    return _everywhere(run, where, edit, query="image", key="text")


def _text_keys(call: AttentionCall, tokens: Sequence[int]) -> list[int]:
    start = call.known_layout("methods").keys_of("text").start
    return [start + token for token in tokens]


def _all_hidden(call: AttentionCall, keys: Sequence[int], *, alone: bool) -> bool:
    """Whether some row has no key left; without another mask the number of keys tells."""
    if alone:
        return len(set(keys)) == call.shape[-1]
    return call.bias is not None and bool((call.bias == -torch.inf).all(-1).any())


def _check_factor(who: str, what: str, factor: float) -> None:
    value = number_or_none(factor)
    if value is None or not math.isfinite(value):
        raise ArgumentError(f"{who}: {what} is {shown(factor)} and must be a finite number.")


def _by_head(factors: Any) -> dict[int, float]:
    """From the number of each head, which JSON has as text, to its factor."""
    if not isinstance(factors, Mapping):
        raise ArgumentError(
            f"scale_heads: factors is {shown(factors)} and must give each head a factor, such as "
            f"{{0: 0.0}}."
        )
    found: dict[int, float] = {}
    for head, factor in factors.items():
        as_text = isinstance(head, str) and head.isascii() and head.isdigit()
        number = int(head) if as_text else whole(head, "a head", "scale_heads", least=0)
        found[number] = factor
    return found


def _check_heads(layer: str, factors: Mapping[int, float], heads: int) -> None:
    wrong = [head for head in factors if not 0 <= head < heads]
    if wrong:
        raise ArgumentError(f"scale_heads: {layer} has heads 0..{heads - 1}, not {wrong[0]}.")
