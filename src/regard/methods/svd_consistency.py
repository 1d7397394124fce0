"""Extended attention without subject masks: keys and values are lent through a spectral filter."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from regard.arguments import flag, one_of, shown
from regard.errors import ArgumentError
from regard.methods.lend import (
    LENDING,
    LentPart,
    anchors_of,
    check_branches,
    checked_anchors,
    image_kv,
    lending,
)
from regard.methods.method import method
from regard.methods.run import Changes, Plan, Run
from regard.methods.spectrum import SpectrumFilter, filtered
from regard.methods.where import EVERYWHERE, Where
from regard.tap import AttentionCall

PER = ("layer", "head")

USUAL = {"share": 0.05}
"""The filter that the report found best in most cases."""


@method(where=LENDING)
def svd_consistency(
    anchors: Sequence[str],
    *,
    seeds: Sequence[int] | None = None,
    keys: Mapping[str, Any] | None = USUAL,
    values: Mapping[str, Any] | None = USUAL,
    per: str = "layer",
    joint: bool = False,
    branches: str = "both",
    where: Where = EVERYWHERE,
) -> Plan:
    """Let the image attend to the leading components of other images, generated beside it.

    Each of the other images, the anchors, lends its keys and values with new singular values; the
    image's own stay as they are. The anchors attend to each other so too.

    Args:
        anchors: Their prompts, such as the same subject in other scenes.
        seeds: Of their initial noise, one for each; those after the image's own if left out.
        keys: What is left of the keys: ``rank``, ``share`` or ``energy``, ``shape``, ``amount``
            and ``centred`` of `regard.methods.SpectrumFilter`; empty for all as they are, None to
            lend nothing.
        values: The same of the values.
        per: ``layer`` filters the keys of all heads side by side, ``head`` those of each alone.
        joint: Whether the norm of all anchors together is kept where ``shape`` gives components
            other weights, as in the released code; else that of each.
        branches: Of classifier-free guidance: ``cond``, ``uncond`` or ``both``.
        where: Steps, layers and stage; see `Where`. By default the up path of a U-Net, or all
            layers of a transformer.

    Returns:
        A method; the images of its anchors are generated in the same batch.

    Raises:
        ArgumentError: a filter that cannot be; or as for `share`, also in a run.
        UnknownName: in a run, a layer that is not there.
        UnsupportedEdit: in a run, a layer with eager (explicit) softmax attention.

    Example:
        >>> svd_consistency(["a cat on the grass"], keys={"rank": 4}, values={}).recipe()["keys"]
        {'rank': 4}

    Source:
        E. Grishina (2025), coursework on personalised generation, HSE, sections 3 to 5.

    Differs from the paper:
        Keys and values have filters of their own, as at the revision that the report describes;
        filters by the Gram matrix, once for each anchor and not for each image that attends to it.
    """
    prompts, numbers = checked_anchors(anchors, seeds, "svd_consistency")
    check_branches(branches, "svd_consistency")
    one_of(per, "per", "svd_consistency", PER)
    flag(joint, "joint", "svd_consistency")
    if keys is None or values is None:
        return lambda run: Changes()
    of_keys, of_values = (_filter(each, joint, what) for each, what in
                          ((keys, "keys"), (values, "values")))  # fmt: skip

    def lends(call: AttentionCall, rows: Sequence[int]) -> list[LentPart]:
        parts = [image_kv(call, row) for row in rows]
        key = _lent(torch.stack([each.key for each in parts]), of_keys, per)
        value = _lent(torch.stack([each.value for each in parts]), of_values, per)
        return [LentPart(*each) for each in zip(key, value, strict=True)]

    def plan(run: Run) -> Changes:
        return lending(
            svd_consistency,
            run,
            anchors_of(prompts, numbers, run),
            lends,
            where=where,
            branches=branches,
        )

    return plan


def _lent(tensors: Tensor, how: SpectrumFilter, per: str) -> Tensor:
    """Keys or values [anchor, head, token, width], filtered."""
    if how.neutral:
        return tensors
    if per == "head":
        return filtered(tensors, how)[0]
    heads = tensors.shape[1]
    beside = tensors.transpose(1, 2).flatten(2)  # [anchor, token, head x width]
    return filtered(beside, how)[0].unflatten(2, (heads, -1)).transpose(1, 2)


def _filter(given: Any, joint: bool, what: str) -> SpectrumFilter:
    """A filter from its settings.

    Raises:
        ArgumentError: they are no mapping, or name or hold something that it cannot have.
    """
    known = [field.name for field in fields(SpectrumFilter) if field.name != "joint"]
    if isinstance(given, SpectrumFilter):
        return given
    if not isinstance(given, Mapping) or not set(given) <= set(known):
        raise ArgumentError(
            f"svd_consistency: {what} is {shown(given)} and must give a filter of "
            f"{', '.join(known)}, such as {{'share': 0.05}}."
        )
    try:
        return SpectrumFilter(**given, joint=joint)
    except ArgumentError as wrong:
        raise ArgumentError(f"svd_consistency: {what}: {str(wrong).partition(': ')[2]}") from wrong
