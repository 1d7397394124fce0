"""A recipe: all that decides a bundled model, as flat data with the reason beside each number."""

import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from regard.errors import unknown


@dataclass(frozen=True)
class Recipe:
    """What a bundled model is and how it is trained.

    ``task`` names the module of `regard.zoo` that builds, trains and judges it; ``model`` holds
    keyword arguments of the network class; ``train`` what the training loop and the task read;
    ``needs`` the models that must be trained before it; ``judges`` those that decide its figures;
    ``notes`` what its card has to say;
    ``data`` what it learns from, a key of `regard.zoo.cards.DATA`; ``reading`` which maps of its
    words find most of what they name, as `regard.trace.Trace.heatmap` takes it: measured, and empty
    where nothing was; ``sampling`` the steps and guidance scale that it is used with.
    """

    name: str
    task: str
    summary: str
    network: str
    needs: tuple[str, ...]
    judges: tuple[str, ...]
    notes: tuple[str, ...]
    model: dict[str, Any]
    train: dict[str, Any]
    data: str = "scenes"
    reading: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)


def recipes() -> tuple[str, ...]:
    """The names of the bundled models, in the order in which they are trained.

    Example:
        >>> recipes()[0]
        'openmoji-clip'
    """
    return (
        "openmoji-clip",
        "openmoji-autoencoder",
        "openmoji-segmenter",
        "openmoji-captioner",
        "openmoji",
        "openmoji-2-clip",
        "openmoji-2-autoencoder",
        "openmoji-2-segmenter",
        "openmoji-2-captioner",
        "openmoji-2",
        "fashion-vit",
    )


def recipe(name: str) -> Recipe:
    """Read one recipe.

    Args:
        name: The name of a bundled model.

    Returns:
        The recipe as it stands in ``zoo/recipes/NAME.toml``.

    Raises:
        UnknownName: there is no such model; the message lists those there are.

    Example:
        >>> recipe("openmoji").network
        'StableDiffusionPipeline'
    """
    if name not in recipes():
        raise unknown("bundled model", name, recipes())
    text = resources.files("regard.zoo").joinpath("recipes", f"{name}.toml").read_text()
    data = tomllib.loads(text)
    return Recipe(
        name=name,
        task=data["task"],
        summary=data["summary"],
        network=data["network"],
        needs=tuple(data.get("needs", ())),
        judges=tuple(data.get("judges", ())),
        notes=tuple(data.get("notes", ())),
        model=data["model"],
        train=data["train"],
        data=data.get("data", "scenes"),
        reading=data.get("reading", {}),
        sampling=data.get("sampling", {}),
    )
