"""The recipes of the zoo with far fewer weights, pictures and steps, for tests."""

from dataclasses import replace

import numpy as np

from regard.data import FashionMNIST
from regard.zoo.recipe import Recipe, recipe, recipes

NAMES = recipes()

_TOWER = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}

_MODELS = {
    "contrastive": {"projection_dim": 8, "text": _TOWER, "vision": _TOWER},
    "autoencoder": {"norm_num_groups": 4},
    "segmenter": {
        "depths": [1, 1, 1, 1],
        "hidden_sizes": [8, 8, 16, 16],
        "num_attention_heads": [1, 1, 2, 2],
        "decoder_hidden_size": 16,
    },
    "captioner": {"text": _TOWER, "vision": _TOWER},
    "diffusion": {
        "unet": {
            "block_out_channels": [8, 8, 16],
            "attention_head_dim": 2,
            "cross_attention_dim": 16,
            "norm_num_groups": 4,
        }
    },
    "joint": {
        "transformer": {
            "num_layers": 2,
            "attention_head_dim": 8,
            "num_attention_heads": 2,
            "caption_projection_dim": 16,
            "joint_attention_dim": 32,
            "pooled_projection_dim": 16,
        }
    },
    "classifier": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
}
"""What is smaller, by the task of a recipe."""


def small(name: str) -> Recipe:
    """One recipe in small: the same classes, resolutions and settings of another size."""
    plan = recipe(name)
    model = dict(plan.model)
    for key, value in _MODELS[plan.task].items():
        model[key] = {**model[key], **value} if isinstance(value, dict) else value
    if plan.task == "autoencoder":
        model["block_out_channels"] = [8] * len(plan.model["block_out_channels"])
    if "vision" in model:
        model["vision"]["patch_size"] = model["vision"]["image_size"] // 4
    # A batch of four is noisy, and two steps have no time to warm up: small steps go down surely.
    train = {**plan.train, "batch": 4, "warm_up": 1, "steps": 2, "learning_rate": 1e-4}
    if "scenes" in train:
        train["scenes"] = 8
    if plan.task == "classifier":
        train |= {"full_size_from": 1, "whole_from": 1}  # a step of small pictures, one of all
    return replace(plan, model=model, train=train)


def shrink(patch) -> None:
    """Let `regard.zoo.train` train the small recipes, on clothes made of noise."""
    patch.setattr("regard.zoo.train.recipe", lambda name: small(name))
    patch.setattr("regard.zoo.classifier.training_set", clothes)


def clothes(count: int = 20) -> FashionMNIST:
    """A stand-in for Fashion-MNIST: noise, and a bright row in another place for each class."""
    labels = np.arange(count) % 10
    images = np.random.default_rng(0).integers(0, 60, (count, 28, 28), np.uint8)
    images[np.arange(count), 2 * labels + 4] = 255
    return FashionMNIST(images, labels)
