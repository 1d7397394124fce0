"""Open a model of any kind: a bundled one by its name, or a folder."""

import os
from functools import lru_cache
from typing import Any

from regard.models.load import folder_of, library_model, vision_of
from regard.models.text_to_image import TextToImage, is_text_to_image
from regard.models.vision import sees_pictures


def load(name_or_folder: str | os.PathLike[str]) -> Any:
    """Open a model: a bundled one by its name, or a folder in the layout of its library.

    Args:
        name_or_folder: A name of `regard.zoo.recipes`, or a folder with a ``model_index.json`` or
            a ``config.json``. A folder that has the name of a bundled model is reached by
            ``./NAME``.

    Returns:
        A text-to-image pipeline as a `TextToImage`, whose ``pipeline`` is the object of diffusers;
        a vision transformer as a `Vision`, which prepares images for its ``model``; anything else
        as the class of its library. All on the CPU, float32, ready to use.

    Raises:
        UnknownName: there is neither such a name nor such a folder; the nearest names are given.
        DataError: the folder is no model, or a damaged one.

    Example:
        >>> type(load("openmoji")).__name__
        'TextToImage'
    """
    opened = library_model(name_or_folder)
    if sees_pictures(opened):
        return vision_of(opened, folder_of(name_or_folder))

    return TextToImage.of(opened) if is_text_to_image(opened) else opened


@lru_cache(maxsize=4)
def opened_once(name: str) -> Any:
    """`load`, remembered: for models that only judge and are never changed."""
    return load(name)
