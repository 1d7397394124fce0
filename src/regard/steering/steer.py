"""One call: draw a prompt twice, and change attention the second time."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regard.arguments import shown
from regard.data.files import read_json, reason
from regard.errors import ArgumentError, DataError, RegardError
from regard.look import look
from regard.look.asked import check_keep, check_methods, check_noise, check_progress
from regard.look.observe import KEEPABLE
from regard.look.outcome import RAISED, refuse_void
from regard.look.recipe import check_same_model, field_of, settings_from
from regard.look.settings import Progress, Settings
from regard.steering.result import Steered
from regard.steering.table import changes

FORMAT, VERSION = "regard-steering", 1


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
        ArgumentError: there is no method, or no seed decides the scheduler's noise; or as `look`.
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
    settings = Settings(prompt, negative_prompt, seed, steps, guidance, size, caller="steer")
    check_methods(methods, "steer")
    check_keep(keep, "steer")
    check_progress(progress, "steer")
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
    from regard.look.generate import check, opened
    from regard.look.noise import noise_of

    pipeline = opened(model, "steer")
    check(pipeline, settings)
    check_noise(latents, pipeline, settings.size, "steer")
    noise_of(pipeline, settings.steps).check("steer")
    # First what may be refused: a method that does not fit says so before anything is drawn.
    after = look(pipeline, prompt, **shared, methods=methods, progress=_half(progress, 0))
    before = look(pipeline, prompt, **shared, progress=_half(progress, 1))
    refuse_void([before.trace.recipe["void"]], "steer")
    refuse_void([after.trace.recipe["void"]], "steer", even=False)
    table = changes(before, after, methods, pipeline)
    return Steered(before, after, table, _recipe(before, after))


def replay(model: Any, recipe: Mapping[str, Any] | str | os.PathLike[str]) -> Steered:
    """Do again what a recipe says; the same model gives the same images, another is refused.

    Args:
        model: As for `steer`.
        recipe: `Steered.recipe`, or the path of a ``recipe.json`` that `Steered.save` wrote.

    Returns:
        As `steer`.

    Raises:
        DataError: the file cannot be read, or is no recipe of steering, or one of its fields is
            missing or of another type.
        ArgumentError: the model has other weights, another dtype, another scheduler or another
            setting of it than the recipe says.
        RegardError: as `steer`.

    Example:
        >>> from regard.methods import scale
        >>> first = steer("openmoji", "a cat", [scale({"cat": 2.0})], steps=1)
        >>> bool((replay("openmoji", first.recipe).after.latents == first.after.latents).all())
        True
    """
    from regard.look.generate import opened

    if not isinstance(recipe, Mapping | str | os.PathLike):
        raise DataError(
            f"replay: recipe is {shown(recipe)} and must be Steered.recipe, or the path of a "
            f"recipe.json that regard steer wrote."
        )
    told = recipe if isinstance(recipe, Mapping) else read_recipe(recipe)
    if told.get("format") != FORMAT:
        raise DataError(
            "replay: this is no recipe of steering. Give the recipe.json that regard steer wrote."
        )
    if told.get("version") != VERSION:
        raise DataError(
            f"replay: the recipe is of version {told.get('version')!r:.20}; this release reads "
            f"version {VERSION}. Update regard: pip install -U regard."
        )
    settings = settings_from(told, "replay")
    methods = [_method(each) for each in field_of(told, "methods", "replay", list)]
    keep = field_of(told, "keep", "replay", list)
    if not all(isinstance(axis, str) for axis in keep):
        raise DataError(f"replay: the recipe's keep is {keep!r:.60} and must name axes.")
    pipeline = opened(model)
    check_same_model(pipeline, told, "replay")
    try:
        return steer(
            pipeline,
            settings.prompt,
            methods,
            seed=settings.seed,
            steps=settings.steps,
            guidance=settings.guidance,
            negative_prompt=settings.negative_prompt,
            size=settings.size,
            keep=keep,
        )
    except RegardError:
        raise
    except RAISED as failed:
        raise DataError(
            f"replay: what the recipe says cannot be done: {reason(failed)}. Take the recipe that "
            f"regard steer wrote."
        ) from failed


def read_recipe(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """A recipe.json that `Steered.save` wrote.

    Args:
        path: The file.

    Returns:
        What it says; nothing where it is no object.

    Raises:
        DataError: the file cannot be read.
    """
    told = read_json(Path(path), who="replay")
    return told if isinstance(told, dict) else {}


def _method(told: Any) -> Any:
    from regard.methods import from_recipe

    if not isinstance(told, dict) or not isinstance(told.get("method"), str):
        raise DataError(
            f"replay: the recipe has the method {told!r:.60}, which must be an object with the "
            f"name of a 'method'. Take the recipe that regard steer wrote."
        )
    return from_recipe(told)


def _recipe(before: Any, after: Any) -> dict[str, Any]:
    told = before.trace.recipe
    kept = ("model", "weights_sha256", "dtype", "prompt", "negative_prompt", "seed", "steps")
    kept += ("guidance_scale", "size", "keep", "scheduler", "scheduler_config", "versions")
    return {
        "format": FORMAT,
        "version": VERSION,
        **{name: told[name] for name in kept},
        "methods": after.trace.recipe["edits"],
    }


def _half(progress: Progress | None, number: int) -> Progress | None:
    """The steps of one of two runs, told as steps of both."""
    if progress is None:
        return None
    return lambda done, steps: progress(number * steps + done, 2 * steps)
