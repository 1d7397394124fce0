"""Arguments of a look that are no settings of the image, checked before any model is opened."""

from collections.abc import Sequence
from typing import Any

from regard.arguments import flag, listed, shown, whole_or_none
from regard.axes import HEAD, LAYER, STEP
from regard.errors import ArgumentError

KEEPABLE = (STEP, LAYER, HEAD)


def check_methods(methods: Any, caller: str) -> None:
    """Refuse what is no list of methods.

    Raises:
        ArgumentError: it is a method alone, or holds something else.

    Example:
        >>> check_methods([], "look")
    """
    several = None if isinstance(methods, str | bytes) else listed(methods)
    if several is None:
        alone = type(methods).__name__ == "Method"
        what = f"the method {methods.name} alone" if alone else shown(methods)
        raise ArgumentError(
            f"{caller}: methods is {what} and must be a list of methods, such as [drop('cat')]."
        )
    for each in several:
        if not callable(getattr(each, "plan", None)):
            raise ArgumentError(
                f"{caller}: methods hold {shown(each)}, which is none. Give what a function of "
                f"regard.methods returns, such as drop('cat')."
            )


def check_keep(keep: Any, caller: str) -> None:
    """Refuse what is no list of axes to keep.

    Raises:
        ArgumentError: it is a text alone, or names something else.

    Example:
        >>> check_keep(("step", "head"), "look")
    """
    several = None if isinstance(keep, str | bytes) else listed(keep)
    wrong = [each for each in several or () if each not in KEEPABLE]
    if wrong:
        raise ArgumentError(
            f"{caller}: keep has {shown(wrong[0])}, which is not one of {', '.join(KEEPABLE)}."
        )
    if several is None:
        raise ArgumentError(
            f"{caller}: keep is {shown(keep)} and must be a list of {', '.join(KEEPABLE)}; the "
            f"others are averaged."
        )


def check_progress(progress: Any, caller: str) -> None:
    """Refuse what cannot be told of progress.

    Raises:
        ArgumentError: it is no function.
    """
    if progress is not None and not callable(progress):
        raise ArgumentError(
            f"{caller}: progress is {shown(progress)} and must be a function of the steps done "
            f"and the steps there are, or None."
        )


def seeds_of_proof(prove: Any, caller: str) -> int:
    """At how many seeds words are proved: none, one, or as many as were asked for.

    Raises:
        ArgumentError: it is neither a flag nor a number of seeds.

    Example:
        >>> seeds_of_proof(False, "look"), seeds_of_proof(True, "look"), seeds_of_proof(3, "look")
        (0, 1, 3)
    """
    number = whole_or_none(prove)
    if number is None and "bool" not in type(prove).__name__:
        raise ArgumentError(
            f"{caller}: prove is {shown(prove)} and must be True, False or a number of seeds."
        )
    if number is not None and number < 0:
        raise ArgumentError(f"{caller}: prove is {number} and must be 0 seeds or more.")
    return int(flag(prove, "prove", caller)) if number is None else number


def check_names(names: Sequence[str] | None, name: str, caller: str, such: str) -> None:
    """Refuse what is no list of names; None is for all.

    Raises:
        ArgumentError: it is a text alone, empty, or holds something else.

    Example:
        >>> check_names(["cat"], "words", "look", "['cat']")
    """
    if names is None:
        return
    if isinstance(names, str):
        raise ArgumentError(f"{caller}: {name} is the text {names!r}. Give a list, such as {such}.")
    several = listed(names)
    if several is None or isinstance(names, bytes):
        raise ArgumentError(f"{caller}: {name} is {shown(names)}. Give a list, such as {such}.")
    if not several:
        raise ArgumentError(
            f"{caller}: {name} is empty. Name at least one, or leave it out for all."
        )
    for each in several:
        if not isinstance(each, str):
            raise ArgumentError(
                f"{caller}: {name} hold {shown(each)}, which is no text. Give a list, such as "
                f"{such}."
            )


def check_noise(latents: Any, pipeline: Any, size: tuple[int, int] | None, caller: str) -> None:
    """Refuse initial noise that this pipeline cannot begin from; None is drawn from the seed.

    Args:
        latents: What was given.
        pipeline: A diffusers pipeline.
        size: Rows and columns of the image in pixels; None for the model's own.
        caller: Who asks, for messages.

    Raises:
        ArgumentError: it is no tensor of finite floats, or has another shape.
    """
    if latents is None:
        return
    import torch

    if not torch.is_tensor(latents) or not latents.is_floating_point():
        raise ArgumentError(
            f"{caller}: latents is {shown(latents)} and must be a tensor of floats: the initial "
            f"noise. Leave it out to draw it from the seed."
        )
    wanted = _shape_of_noise(pipeline, size)
    if wanted is not None and tuple(latents.shape) != wanted:
        raise ArgumentError(
            f"{caller}: latents are {tuple(latents.shape)} and must be {wanted} for this model and "
            f"size. Leave them out to draw them from the seed."
        )
    if not bool(torch.isfinite(latents).all()):
        raise ArgumentError(f"{caller}: latents have NaN or infinity. Give finite noise.")


def _shape_of_noise(pipeline: Any, size: tuple[int, int] | None) -> tuple[int, ...] | None:
    """Of one image, as the pipeline takes it; None where that is not known."""
    scale = getattr(pipeline, "vae_scale_factor", None)
    unet, transformer = (getattr(pipeline, name, None) for name in ("unet", "transformer"))
    network = transformer if unet is None else unet
    config = getattr(network, "config", None)
    own = getattr(pipeline, "default_sample_size", None) or getattr(config, "sample_size", None)
    sides = listed(own) or [own, own]
    if size is not None and scale:
        sides = [side // scale for side in size]
    channels = getattr(config, "in_channels", None)
    if not all(isinstance(each, int) for each in (*sides, channels)):
        return None
    if any("Flux" in kind.__name__ for kind in type(network).__mro__):
        return 1, (sides[0] // 2) * (sides[1] // 2), channels  # packed in squares of two by two
    return 1, channels, sides[0], sides[1]
