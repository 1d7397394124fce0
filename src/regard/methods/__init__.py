"""Methods: named changes of attention, which a run of any pipeline can carry.

A `Method` is made by a function of this room, such as `drop` or `temperature`; a `Run` tells it
about the generation, and it answers with `Changes`: edits for the tap, and at most one `Guide`.
`methods` lists the functions, and `from_recipe` makes a method again from what `Method.recipe`
wrote down.
"""

from collections.abc import Mapping
from typing import Any

from regard.arguments import shown
from regard.data.files import reason
from regard.errors import ArgumentError, RegardError
from regard.methods.attend_and_excite import attend_and_excite
from regard.methods.choose_noise import choose_noise
from regard.methods.guidance import perturbed_attention_guidance, smoothed_energy_guidance
from regard.methods.guide import Extra, Guide, Moment
from regard.methods.method import Changes, Method, Plan, Run, method
from regard.methods.nudge import nudge
from regard.methods.perturb import (
    drop,
    identity,
    scale,
    scale_heads,
    scale_layers,
    shuffled,
    temperature,
    uniform,
)
from regard.methods.prompt_to_prompt import prompt_to_prompt
from regard.registry import Registry

__all__ = [
    "Changes",
    "Extra",
    "Guide",
    "Method",
    "Moment",
    "Plan",
    "Run",
    "attend_and_excite",
    "choose_noise",
    "drop",
    "from_recipe",
    "identity",
    "method",
    "methods",
    "nudge",
    "perturbed_attention_guidance",
    "prompt_to_prompt",
    "scale",
    "scale_heads",
    "scale_layers",
    "shuffled",
    "smoothed_energy_guidance",
    "temperature",
    "uniform",
]

methods = Registry(
    "method",
    {
        "attend-and-excite": "regard.methods.attend_and_excite:attend_and_excite",
        "choose-noise": "regard.methods.choose_noise:choose_noise",
        "drop": "regard.methods.perturb:drop",
        "identity": "regard.methods.perturb:identity",
        "nudge": "regard.methods.nudge:nudge",
        "perturbed-attention-guidance": "regard.methods.guidance:perturbed_attention_guidance",
        "prompt-to-prompt": "regard.methods.prompt_to_prompt:prompt_to_prompt",
        "scale": "regard.methods.perturb:scale",
        "scale-heads": "regard.methods.perturb:scale_heads",
        "scale-layers": "regard.methods.perturb:scale_layers",
        "shuffled": "regard.methods.perturb:shuffled",
        "smoothed-energy-guidance": "regard.methods.guidance:smoothed_energy_guidance",
        "temperature": "regard.methods.perturb:temperature",
        "uniform": "regard.methods.perturb:uniform",
    },
)


def from_recipe(recipe: Mapping[str, Any]) -> Method:
    """The method that a recipe was written of.

    Args:
        recipe: As `Method.recipe` returns it.

    Returns:
        A method with the same settings.

    Raises:
        UnknownName: there is no such method.
        ArgumentError: the recipe names no method, or has a setting that the method has not.

    Example:
        >>> from_recipe({"method": "scale", "weights": {"car": 2.0}}) == scale({"car": 2.0})
        True
    """
    if not isinstance(recipe, Mapping):
        raise ArgumentError(
            f"from_recipe: recipe is {shown(recipe)} and must be what Method.recipe returns."
        )
    settings = dict(recipe)
    name = settings.pop("method", None)
    if name is None:
        raise ArgumentError(
            f"from_recipe: the recipe has {sorted(recipe) or 'nothing'} and needs 'method'."
        )
    if not isinstance(name, str):
        raise ArgumentError(f"from_recipe: the method is {name!r:.40} and must be a name.")
    make = methods.get(str(name))
    try:
        made: Method = make(**settings)
    except RegardError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as wrong:
        raise ArgumentError(
            f"from_recipe: {name} cannot be made of {settings}: {reason(wrong)}."
        ) from wrong
    return made
