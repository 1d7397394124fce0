"""Extended attention: images of a batch that attend to the keys and values of some of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.arguments import listed, one_of, shown, whole_or_none
from regard.errors import ArgumentError
from regard.methods.run import Anchor, Changes, Run
from regard.methods.where import CONDITIONS, Where
from regard.tap import AttentionCall
from regard.tap.weights import Lent

LENDING = ("steps", "layers", "stage")
"""The parts of `Where` that methods take whose images attend to each other."""


@dataclass(frozen=True)
class LentPart:
    """What one anchor lends.

    Attributes:
        key: [head, token, width].
        value: Of the same shape.
        patches: Which patches of the anchor these are; None for all.
    """

    key: Tensor
    value: Tensor
    patches: Tensor | None = None


Lends = Callable[[AttentionCall, Sequence[int]], Sequence[LentPart]]
"""From a call and the rows of the anchors in one branch to what each lends."""


def anchors_of(prompts: Any, seeds: Any, run: Run) -> list[Anchor]:
    """The images that lend, with the seeds of their initial noise: those after the run's own.

    Args:
        prompts: Of the anchors, checked.
        seeds: One for each, or None.
        run: Of the image.
    """
    numbers = range(run.seed + 1, run.seed + 1 + len(prompts)) if seeds is None else seeds
    return [Anchor(prompt, seed) for prompt, seed in zip(prompts, numbers, strict=True)]


def checked_anchors(prompts: Any, seeds: Any, caller: str) -> tuple[list[str], list[int] | None]:
    """Prompts and seeds of anchors.

    Raises:
        ArgumentError: there is no prompt, one is empty or no text, or there is not a seed for each.

    Example:
        >>> checked_anchors(["a cat"], None, "share")
        (['a cat'], None)
    """
    texts = listed(prompts)
    if isinstance(prompts, str) or not texts or not all(isinstance(t, str) for t in texts):
        raise ArgumentError(
            f"{caller}: anchors is {shown(prompts)} and must be the prompts of one image or more, "
            f"such as ['a cat on the grass', 'a cat on the beach']."
        )
    if not all(text.strip() for text in texts):
        raise ArgumentError(f"{caller}: a prompt of the anchors is empty and needs a word.")
    if seeds is None:
        return list(texts), None
    numbers = [whole_or_none(each) for each in listed(seeds) or ()]
    if len(numbers) != len(texts) or any(each is None or each < 0 for each in numbers):
        raise ArgumentError(
            f"{caller}: seeds is {shown(seeds)} and must be a whole number of 0 or more for each "
            f"of the {len(texts)} anchors."
        )
    return list(texts), [each for each in numbers if each is not None]


def check_branches(branches: Any, caller: str) -> None:
    """Refuse a branch of the guidance that is none."""
    one_of(branches, "branches", caller, CONDITIONS)


def lending(
    function: Callable[..., Any],
    run: Run,
    anchors: Sequence[Anchor],
    lends: Lends,
    *,
    where: Where,
    branches: str,
    bias: float = 0.0,
) -> Changes:
    """Let every image of a batch attend to its anchors, and these to each other.

    Args:
        function: The method, which messages name.
        run: What is known of the run of one image.
        anchors: The images that lend; they are the last of the batch.
        lends: What each of them lends.
        where: Steps and layers; by default the up path of a U-Net, or all layers of a transformer.
        branches: Of the guidance: ``cond``, ``uncond`` or ``both``.
        bias: What is added to the scores of lent keys.

    Returns:
        What the plan of the method returns.

    Raises:
        ArgumentError: the run lacks what ``where`` says, or no layer attends from image to image.
        UnknownName: no layer is called so.
    """
    where = replace(usual(where, run), condition=branches)
    select = where.select_in(run, function.__name__, query="image", key="image")
    layers: list[str] = []

    def edit(call: AttentionCall) -> None:
        layers[:1] = [call.layer]
        lend(call, len(anchors), lends, branches, bias)

    # Edits of one branch alone would have it chosen by rows, and these are chosen here.
    select = replace(select, condition=None)
    last = run.steps - 1 if where.span is not None else 0
    whole = Changes([(select, edit)], None, where.first_step, last, lambda: bool(layers))
    return Changes(first_step=where.first_step, anchors=anchors, together=lambda runs: whole)


def lend(
    call: AttentionCall, anchors: int, lends: Lends, branches: str = "both", bias: float = 0.0
) -> None:
    """Let all images of a call attend to the last ones, and these to each other.

    Args:
        call: Of a whole batch.
        anchors: How many lend.
        lends: What each of them lends.
        branches: As for `lending`.
        bias: As for `lending`.
    """
    lent: list[Lent | None] = [None] * call.shape[0]
    for label in dict.fromkeys(call.known_conditions("extended attention")):
        if branches not in (label, "both"):
            continue
        rows = call.rows_of(label)
        own = range(rows.stop - anchors, rows.stop)
        lent[rows] = _for_each(rows, own, lends(call, own), bias)
    call.extend_kv(lent)


def usual(where: Where, run: Run) -> Where:
    """Where extended attention acts if nothing is said: in the up path, if there is one."""
    stages = {layer.stage for layer in run.model.layers}
    said = where.layers is not None or where.stage is not None
    return where if said or "up" not in stages else replace(where, stage="up")


def image_kv(call: AttentionCall, row: int) -> LentPart:
    """Keys and values of all patches of the image in one row."""
    image = call.known_layout("lending").keys_of("image").slice
    return LentPart(call.key[row, :, image], call.value[row, :, image])


def _for_each(
    rows: slice, anchors: range, parts: Sequence[LentPart], bias: float
) -> list[Lent | None]:
    """What each row of a branch is lent: what all anchors lend, but for its own."""
    key = torch.cat([each.key for each in parts], -2)
    value = torch.cat([each.value for each in parts], -2)
    if not key.shape[-2]:
        return [None] * (rows.stop - rows.start)
    device = key.device
    own = [torch.arange(each.key.shape[-2], device=device) for each in parts]
    image = torch.cat([torch.full_like(each, number) for number, each in enumerate(own)])
    patch = torch.cat(
        [each if part.patches is None else part.patches
         for each, part in zip(own, parts, strict=True)]
    )  # fmt: skip
    whole = Lent(key, value, None, bias, image, patch)
    lent: list[Lent | None] = []
    for row in range(rows.start, rows.stop):
        if row not in anchors:
            lent.append(whole)
            continue
        seen = image != row - anchors.start
        lent.append(replace(whole, seen=seen) if bool(seen.any()) else None)
    return lent
