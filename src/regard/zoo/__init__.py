"""Small trained models that are the real thing, and the door to users' own.

Network classes come from diffusers and transformers; ours are the configurations, the weights, the
recipes that made them and the cards that say what they can do.
"""

from regard.zoo.load import (
    bundled,
    fingerprint,
    library_model,
    load,
    name_of,
    vision_of,
    weights_folder,
)
from regard.zoo.recipe import Recipe, recipe, recipes
from regard.zoo.vision import Preparation, Vision

__all__ = [
    "Preparation",
    "Recipe",
    "Vision",
    "bundled",
    "fingerprint",
    "library_model",
    "load",
    "name_of",
    "recipe",
    "recipes",
    "vision_of",
    "weights_folder",
]
