"""Small trained models that are the real thing, and the door to users' own.

Network classes come from diffusers and transformers; ours are the configurations, the weights, the
recipes that made them and the cards that say what they can do.
"""

from regard.zoo.load import bundled, fingerprint, load, name_of, weights_folder
from regard.zoo.recipe import Recipe, recipe, recipes

__all__ = [
    "Recipe",
    "bundled",
    "fingerprint",
    "load",
    "name_of",
    "recipe",
    "recipes",
    "weights_folder",
]
