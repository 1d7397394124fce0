"""One call: draw a prompt twice, and change attention the second time."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regard.errors import ArgumentError, DataError
from regard.look import look
from regard.look.observe import KEEPABLE
from regard.look.settings import Progress
from regard.steering.result import Steered
from regard.steering.table import changes

FORMAT = "regard-steering"


def steer(
    model: Any,
    prompt: str,
    methods: Sequence[Any],
    *,
    seed: int = 0,
    steps: int = 30,
    guidance: float = 4.0,
    negative_prompt: str = "",
    size: tuple[int, int] | int | None = None,
    latents: Any = None,
    keep: Sequence[str] = KEEPABLE,
    progress: Progress | None = None,
) -> Steered:
    """Draw a prompt as it is and under some methods, from the same first noise.

    Args:
        model: A diffusers text-to-image pipeline with a UNet, or the name or folder of one.
        prompt: What to draw.
        methods: What to change, as `regard.methods` makes it, in this order; at least one. One may
            have the second picture read another prompt.
        seed: Of the generator that draws the first noise.
        steps: Denoising steps.
        guidance: Weight of classifier-free guidance; up to 1 is off.
        negative_prompt: What to keep away from.
        size: Rows and columns of the image in pixels, or one number for both.
        latents: The first noise, a tensor [1, channel, y, x]; None to draw it from the seed.
        keep: Which of ``step``, ``layer`` and ``head`` the traces keep.
        progress: Called after each step with the steps done and the steps there are, of both.

    Returns:
        Both looks, a table of what changed from one to the other, and a recipe that replays it.

    Raises:
        ArgumentError: there is no method; or as `look`.
        RegardError: as `look`, and what a method says of this run, before the model runs.

    Example:
        >>> from regard.methods import drop
        >>> steered = steer("openmoji", "a cat on the beach", [drop("cat")], steps=2)
        >>> lost = steered.table.query("measure == 'mass' and word == 'cat'")
        >>> float(lost["after"].iloc[0])
        0.0

    Source:
        The comparison at one seed is ours; each method names its own.
    """
    if not methods:
        raise ArgumentError("steer: there is no method. Give at least one, such as drop('cat').")
    shared: dict[str, Any] = {
        "seed": seed,
        "steps": steps,
        "guidance": guidance,
        "negative_prompt": negative_prompt,
        "size": size,
        "latents": latents,
        "keep": keep,
    }
    from regard.look.generate import opened

    pipeline = opened(model)
    # First what may be refused: a method that does not fit says so before anything is drawn.
    after = look(pipeline, prompt, **shared, methods=methods, progress=_half(progress, 0))
    before = look(pipeline, prompt, **shared, progress=_half(progress, 1))
    table = changes(before, after, methods, pipeline)
    return Steered(before, after, table, _recipe(before, after))


def replay(model: Any, recipe: Mapping[str, Any] | str | os.PathLike[str]) -> Steered:
    """Do again what a recipe says; the same model gives the same images.

    Args:
        model: As for `steer`.
        recipe: `Steered.recipe`, or the path of a ``recipe.json`` that `Steered.save` wrote.

    Returns:
        As `steer`.

    Raises:
        DataError: the file cannot be read, or is no recipe of steering.
        RegardError: as `steer`.

    Example:
        >>> from regard.methods import scale
        >>> first = steer("openmoji", "a cat", [scale({"cat": 2.0})], steps=1)
        >>> bool((replay("openmoji", first.recipe).after.latents == first.after.latents).all())
        True
    """
    from regard.methods import from_recipe

    told = recipe if isinstance(recipe, Mapping) else _read(Path(recipe))
    if told.get("format") != FORMAT:
        raise DataError(
            "replay: this is no recipe of steering. Give the recipe.json that regard steer wrote."
        )
    return steer(
        model,
        told["prompt"],
        [from_recipe(each) for each in told["methods"]],
        seed=told["seed"],
        steps=told["steps"],
        guidance=told["guidance_scale"],
        negative_prompt=told["negative_prompt"],
        size=(told["size"][0], told["size"][1]),
        keep=told["keep"],
    )


def _recipe(before: Any, after: Any) -> dict[str, Any]:
    told = before.trace.recipe
    kept = ("model", "weights_sha256", "dtype", "prompt", "negative_prompt", "seed", "steps")
    kept += ("guidance_scale", "size", "keep", "scheduler", "scheduler_config", "versions")
    return {
        "format": FORMAT,
        "version": 1,
        **{name: told[name] for name in kept},
        "methods": after.trace.recipe["edits"],
    }


def _read(path: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as failed:
        raise DataError(f"replay: '{path}' cannot be read as JSON: {failed}.") from failed
    return told if isinstance(told, dict) else {}


def _half(progress: Progress | None, number: int) -> Progress | None:
    """The steps of one of two runs, told as steps of both."""
    if progress is None:
        return None
    return lambda done, steps: progress(number * steps + done, 2 * steps)
