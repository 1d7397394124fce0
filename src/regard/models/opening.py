"""Open a model of any kind: a bundled one by its name, or a folder."""

import os
from functools import lru_cache
from typing import Any

from regard.models.load import folder_of, library_model, vision_of
from regard.models.pipelines import is_text_to_image
from regard.models.placement import Placement
from regard.models.text_to_image import TextToImage
from regard.models.vision import sees_pictures


def load(
    name_or_folder: str | os.PathLike[str],
    *,
    device: Any = "auto",
    dtype: Any = None,
    variant: str | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Any:
    """Open a model: a bundled one by its name, a folder, a file, or one of the Hugging Face hub.

    Args:
        name_or_folder: A name of `regard.zoo.recipes`; a folder with a ``model_index.json`` or a
            ``config.json``; a checkpoint in a single file, ``.safetensors`` or ``.ckpt``; or the
            identifier of a model of the hub, such as
            ``stable-diffusion-v1-5/stable-diffusion-v1-5``, which is downloaded into the hub's
            cache where there is a network. A folder that has the name of a bundled model is
            reached by ``./NAME``.
        device: Where to put it, as torch names it; ``auto`` is a CUDA GPU if there is one, else
            the CPU.
        dtype: ``float32``, ``float16`` or ``bfloat16``, or one of torch; None for float32.
        variant: Which of several files of weights to read, such as ``fp16``.
        config: For a single file: the folder, or the identifier, of a pipeline of the same
            architecture, which says what its parts are and holds the tokenizers; parts that the
            file lacks are read from there. None looks for the one that diffusers takes it for.

    Returns:
        A text-to-image pipeline as a `TextToImage`, whose ``pipeline`` is the object of diffusers;
        a vision transformer as a `Vision`, which prepares images for its ``model``; anything else
        as the class of its library. All are ready to use: evaluation mode, no gradients.

    Raises:
        UnknownName: there is neither such a name nor such a folder; the nearest names are given.
        DataError: the folder or file is no model, a damaged one, or has no weights of this
            variant; or what a file's parts are is not known.
        ArgumentError: this machine has no such device, or there is no such dtype.

    Example:
        >>> type(load("openmoji")).__name__
        'TextToImage'
    """
    opened = library_model(name_or_folder, Placement.of(device, dtype, variant, config))
    if sees_pictures(opened):
        return vision_of(opened, folder_of(name_or_folder, variant))
    return TextToImage.of(opened) if is_text_to_image(opened) else opened


@lru_cache(maxsize=4)
def opened_once(name: str) -> Any:
    """`load`, remembered: for models that only judge and are never changed."""
    return load(name)
