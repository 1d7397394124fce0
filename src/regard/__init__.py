"""Look at, measure and steer attention in text-to-image diffusion models and image transformers.

* ``load``: open a bundled model by name, or a folder of your own.
* ``look``: generate an image and see which patches attend to each word; a ``Look`` holds both, and
  ``Looks`` those of several prompts or seeds.
* ``look_at``: show an image to a vision transformer and see where each patch looks.
* ``steer``: make it twice, with attention changed the second time, and see what that did.
* ``sweep``: make it without each head, layer, word or place, and see which matter.
* ``Tap`` and ``Select``: see and change the attention of any model.
* ``Trace``: what was seen, labelled; it saves, loads and answers without torch.
* ``data``, ``experiments``, ``explain``, ``measures``, ``methods``, ``scores``, ``stats``,
  ``views``: the packages behind them, such as ``regard.methods.drop``.

Names are imported when they are first used, so that ``import regard`` is quick.
"""

from typing import TYPE_CHECKING

from regard.registry import hand_out

if TYPE_CHECKING:
    from regard import data, experiments, explain, measures, methods, scores, stats, views
    from regard.experiments.sweep import sweep
    from regard.look import Look, Looks, look, look_at
    from regard.models import load
    from regard.steering import steer
    from regard.tap import Select, Tap
    from regard.trace import Trace

__all__ = [
    "Look",
    "Looks",
    "Select",
    "Tap",
    "Trace",
    "data",
    "experiments",
    "explain",
    "load",
    "look",
    "look_at",
    "measures",
    "methods",
    "scores",
    "stats",
    "steer",
    "sweep",
    "views",
]

_ROOMS = ("data", "experiments", "explain", "measures", "methods", "scores", "stats", "views")

hand_out(
    __name__,
    {
        "Look": "regard.look:Look",
        "Looks": "regard.look:Looks",
        "Select": "regard.tap:Select",
        "Tap": "regard.tap:Tap",
        "Trace": "regard.trace:Trace",
        "load": "regard.models:load",
        "look": "regard.look:look",
        "look_at": "regard.look:look_at",
        "steer": "regard.steering:steer",
        "sweep": "regard.experiments.sweep:sweep",
        **{name: f"regard.{name}" for name in _ROOMS},
    },
)
