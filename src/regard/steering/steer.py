"""One call: generate a prompt twice from one seed, and change attention the second time."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from regard.arguments import shown, verb
from regard.data.files import read_json, reason
from regard.errors import ArgumentError, DataError, RegardError
from regard.generation import Request, Sampling
from regard.generation.outcome import RAISED, refuse_void
from regard.look import look
from regard.look.asked import KEEPABLE, check_keep
from regard.look.recipe import check_same_model, field_of, request_from
from regard.progress import Advance, Progress, check_progress, reporting
from regard.steering.result import Steered
from regard.steering.table import changes

FORMAT, VERSION = "regard-steering", 2


@verb
def steer(
    model: Any,
    prompt: str,
    methods: Sequence[Any],
    *,
    keep: Sequence[str] = KEEPABLE,
    on_step: Any = None,
    progress: Progress = None,
    **sampling: Unpack[Sampling],
) -> Steered:
    """Generate a prompt without and with some methods, from the same initial noise, and compare.

    Args:
        model: As for `regard.look`.
        prompt: What to generate.
        methods: What to change, as `regard.methods` makes it, in this order; at least one. One may
            have the second image read another prompt.
        keep: Which of ``step``, ``layer`` and ``head`` the traces keep.
        on_step: As for `regard.look`, for both images; that under the methods comes first.
        progress: As for `regard.look`; a function is called with the steps of both images.
        **sampling: As in `regard.generation.Sampling`: seed, num_inference_steps, guidance_scale,
            negative_prompt, height, width and latents.

    Returns:
        Both looks, a table of what changed from one to the other, and a recipe that replays it.

    Raises:
        ArgumentError: there is no method, or no seed decides the scheduler's noise; or as `look`.
        RegardError: as `look`, and what a method says of this request, before the model runs.

    Example:
        >>> from regard.methods import drop
        >>> steered = steer("openmoji", "a cat on the beach", [drop("cat")], num_inference_steps=2)
        >>> lost = steered.table.query("measure == 'mass' and word == 'cat'")
        >>> float(lost["after"].iloc[0])
        0.0

    Source:
        The comparison at one seed is ours; each method names its own.
    """
    request = Request.of(prompt, sampling, methods)
    check_keep(keep)
    check_progress(progress)
    if not request.methods:
        raise ArgumentError("steer: there is no method. Give at least one, such as drop('cat').")
    from regard.models.text_to_image import TextToImage

    with reporting(progress, "steering") as advance:
        model = TextToImage.of(model)
        model.noise(model.decide(request).num_inference_steps).check()
        shared: dict[str, Any] = {"keep": keep, "on_step": on_step, **sampling}
        # First what may be refused: a method that does not fit says so before anything is made.
        after = look(model, prompt, methods=methods, progress=_half(advance, 0), **shared)
        before = look(model, prompt, progress=_half(advance, 1), **shared)
    refuse_void([before.trace.recipe["void"]])
    refuse_void([after.trace.recipe["void"]], even=False)
    return Steered(before, after, changes(before, after, methods, model), _recipe(before, after))


@verb
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
        >>> first = steer("openmoji", "a cat", [scale({"cat": 2.0})], num_inference_steps=1)
        >>> bool((replay("openmoji", first.recipe).after.latents == first.after.latents).all())
        True
    """
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
    if told.get("version") not in (1, VERSION):
        raise DataError(
            f"replay: the recipe is of version {told.get('version')!r:.20}; this release reads "
            f"up to version {VERSION}. Update regard: pip install -U regard."
        )
    request = request_from(told)
    methods = [_method(each) for each in field_of(told, "methods", list)]
    keep = field_of(told, "keep", list)
    if not all(isinstance(axis, str) for axis in keep):
        raise DataError(f"replay: the recipe's keep is {keep!r:.60} and must name axes.")
    from regard.models.text_to_image import TextToImage

    model = TextToImage.of(model)
    check_same_model(model, told)
    try:
        return steer(
            model,
            request.prompt,
            methods,
            keep=keep,
            seed=request.seed,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            negative_prompt=request.negative_prompt,
            height=request.height,
            width=request.width,
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
    kept = ("model", "weights_sha256", "dtype", "prompt", "negative_prompt", "seed")
    kept += (
        "num_inference_steps",
        "guidance_scale",
        "size",
        "keep",
        "scheduler",
        "scheduler_config",
        "versions",
    )
    return {
        "format": FORMAT,
        "version": VERSION,
        **{name: told[name] for name in kept},
        "methods": after.trace.recipe["edits"],
    }


def _half(advance: Advance, number: int) -> Advance:
    """The steps of one of two runs, counted as steps of both."""
    return lambda done, steps: advance(number * steps + done, 2 * steps)
