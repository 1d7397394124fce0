"""Small trained models that are the real thing, and the recipes that made them.

Network classes come from diffusers and transformers; ours are the configurations, the weights, the
recipes that made them and the cards that say what they can do. `regard.models` opens them.
"""

from regard.zoo.bundled import bundled, weights_folder, weights_sha256
from regard.zoo.recipe import Recipe, recipe, recipes

__all__ = ["Recipe", "bundled", "recipe", "recipes", "weights_folder", "weights_sha256"]
