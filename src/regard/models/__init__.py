"""A user's own network, or a bundled one, behind one face.

* `load`: open a bundled model by its name, a folder in the layout of its library, or a model of the
  Hugging Face Hub.
* `TextToImage`: a text-to-image pipeline of diffusers, and what all functions ask of it.
* `Family` and `add_family`: what differs between families of them, and how to register another;
  `TextPart`: a stretch of text that the image attends to.
* `Vision`: a vision transformer with all that it needs to be shown an image.
* `detector`, `captioner`, `encoder`: what an image shows, what one would say of it, and its vector.
"""

from typing import TYPE_CHECKING

from regard.models.families import Family, add_family, forget_family
from regard.models.load import fingerprint, library_model, name_of, vision_of
from regard.models.preparation import Preparation
from regard.models.text_part import TextPart
from regard.models.vision import Vision
from regard.registry import hand_out

if TYPE_CHECKING:
    from regard.models.opening import load
    from regard.models.text_to_image import TextToImage

__all__ = [
    "Family",
    "Preparation",
    "TextPart",
    "TextToImage",
    "Vision",
    "add_family",
    "fingerprint",
    "forget_family",
    "library_model",
    "load",
    "name_of",
    "vision_of",
]

hand_out(  # these import torch
    __name__,
    {
        "TextToImage": "regard.models.text_to_image:TextToImage",
        "load": "regard.models.opening:load",
    },
)
