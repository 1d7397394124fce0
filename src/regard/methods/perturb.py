"""Perturbations of whole attention maps: sharper or flatter, even, permuted, or the identity.

They compose with all other methods: each edits what the ones before it left.
"""

import math

import torch

from regard.arguments import number_or_none, shown, whole
from regard.errors import ArgumentError
from regard.methods.everywhere import OF_ONE_KIND, everywhere
from regard.methods.method import method
from regard.methods.run import Plan
from regard.methods.where import EVERYWHERE, Where
from regard.tap import AttentionCall


@method
def temperature(factor: float, *, where: Where = EVERYWHERE) -> Plan:
    """Divide the scores before the softmax: above 1 attention spreads, below 1 it sharpens.

    Args:
        factor: Above 0; 1 changes nothing.
        where: See `Where`.

    Returns:
        A method.

    Raises:
        ArgumentError: a factor that is not above 0 or not finite; in a run, as for `drop`.
        UnknownName: in a run, a layer that is not there.

    Example:
        >>> temperature(0.7, where=Where(kind="cross")).recipe()
        {'method': 'temperature', 'factor': 0.7, 'where': {'kind': 'cross'}}

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

    return lambda run: everywhere(temperature, run, where, divide)


@method
def uniform(*, where: Where = EVERYWHERE) -> Plan:
    """Let every query attend evenly to all keys that are not masked: the limit of `temperature`.

    Args:
        where: See `Where`.

    Returns:
        A method.

    Raises:
        ArgumentError: in a run, as for `drop`.
        UnknownName: in a run, a layer that is not there.
        UnsupportedEdit: in a run, a layer with eager (explicit) softmax attention.

    Example:
        >>> uniform(where=Where(kind="self", stage="mid")).recipe()
        {'method': 'uniform', 'where': {'stage': 'mid', 'kind': 'self'}}
    """

    def even(call: AttentionCall) -> None:
        call.map_keys(torch.zeros_like)

    return lambda run: everywhere(uniform, run, where, even)


@method(where=OF_ONE_KIND)
def identity(*, where: Where = EVERYWHERE) -> Plan:
    """Let every image patch attend to itself alone among the patches, and to text as before.

    Args:
        where: Steps, layers, stage and condition; see `Where`.

    Returns:
        A method.

    Raises:
        ArgumentError: in a run, as for `drop`.
        UnknownName: in a run, a layer that is not there.

    Example:
        >>> identity(where=Where(stage="mid")).recipe()
        {'method': 'identity', 'where': {'stage': 'mid'}}

    Source:
        Ahn et al. (2024), "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance",
        arXiv 2403.17377, equation 14.
    """

    def alone(call: AttentionCall) -> None:
        call.identity()

    return lambda run: everywhere(identity, run, where, alone, query="image", key="image")


@method
def shuffled(seed: int = 0, *, where: Where = EVERYWHERE) -> Plan:
    """Permute the keys of each layer, in a random order that stays the same in all steps.

    Attention stays as sharp as it was, but goes to other keys. A masked key stays masked.

    Args:
        seed: Of the orders.
        where: See `Where`.

    Returns:
        A method.

    Raises:
        ArgumentError: the seed is no whole number of 0 or more; in a run, as for `drop`.
        UnknownName: in a run, a layer that is not there.
        UnsupportedEdit: in a run, a layer with eager (explicit) softmax attention.

    Example:
        >>> shuffled(1, where=Where(kind="cross")).recipe()
        {'method': 'shuffled', 'seed': 1, 'where': {'kind': 'cross'}}

    Source:
        Serrano and Smith (2019), "Is Attention Interpretable?", for permuted attention as a
        control.
    """
    seed = whole(seed, "seed", "shuffled", least=0, most=2**63 - 1)

    def permute(call: AttentionCall) -> None:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(call.shape[-1], generator=generator).to(call.key.device)
        call.map_keys(lambda keys: keys[..., order, :])

    return lambda run: everywhere(shuffled, run, where, permute)
