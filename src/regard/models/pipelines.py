"""What a pipeline of diffusers has to have to be taken as a text-to-image model."""

from typing import Any

from torch import nn

from regard.arguments import caller, shown
from regard.errors import ArgumentError
from regard.models.families import Family, call_of, family_names, family_of


def denoiser_of(pipeline: Any) -> Any:
    """The denoiser of a pipeline, a UNet or a transformer; None if it has neither."""
    found = (getattr(pipeline, name, None) for name in ("unet", "transformer"))
    network = next((each for each in found if each is not None), None)
    return getattr(network, "_orig_mod", network)  # the one inside a compiled one


def is_text_to_image(model: Any) -> bool:
    """Whether a model is a pipeline that `TextToImage.of` takes."""
    return (
        callable(model)
        and not isinstance(model, nn.Module)
        and not _lacking(model)
        and (family_of(denoiser_of(model)) is not None)
    )


def known_family(pipeline: Any) -> Family:
    """The family of a text-to-image pipeline.

    Raises:
        ArgumentError: it is no text-to-image pipeline, or its denoiser is of no known family.
    """
    if not callable(pipeline):
        raise ArgumentError(
            f"{caller()}: model is {shown(pipeline)} and must be a text-to-image pipeline of "
            f"diffusers, or the name or folder of one, such as 'openmoji'."
        )
    lacking = _lacking(pipeline)
    if lacking:
        raise ArgumentError(
            f"{caller()}: {type(pipeline).__name__} has no {' and no '.join(lacking)}. Give a "
            f"text-to-image pipeline of diffusers with a UNet, such as 'openmoji', or with a "
            f"transformer of Stable Diffusion 3 or FLUX.1."
        )
    denoiser = denoiser_of(pipeline)
    family = family_of(denoiser)
    if family is None:
        raise ArgumentError(
            f"{caller()}: the denoiser of {type(pipeline).__name__} is a "
            f"{type(denoiser).__name__}, whose image and text tokens are not known. Known are "
            f"{family_names()}. Register another with regard.models.add_family."
        )
    return family


def _lacking(pipeline: Any) -> list[str]:
    """What a pipeline needs to have and has not."""
    call = call_of(pipeline)
    lacking = ["unet"] if denoiser_of(pipeline) is None else []
    lacking += ["scheduler"] if getattr(pipeline, "scheduler", None) is None else []
    return lacking + [name for name in ("prompt", "callback_on_step_end") if name not in call]
