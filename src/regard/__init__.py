"""Look at, measure and steer attention in text-to-image diffusion models and image transformers.

* ``load``: open a bundled model by name, or a folder of your own.
* ``look``: make an image and see where each word was looked at; a ``Look`` holds both.
* ``look_at``: show a picture to a vision transformer and see where each patch looks.
* ``steer``: make it twice, with attention changed the second time, and see what that did.
* ``sweep``: make it without each head, layer, word or place, and see which matter.
* ``Tap`` and ``Select``: see and change the attention of any model.
* ``Trace``: what was seen, labelled; it saves, loads and answers without torch.

Names are imported when they are first used, so that ``import regard`` is quick.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["Look", "Select", "Tap", "Trace", "load", "look", "look_at", "steer", "sweep"]

_HOMES = {
    "Look": "regard.look",
    "Select": "regard.tap",
    "Tap": "regard.tap",
    "Trace": "regard.trace",
    "load": "regard.zoo",
    "look_at": "regard.look",
    "steer": "regard.steering",
    "sweep": "regard.experiments.sweeps",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'regard' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Package(ModuleType):
    """The verb ``regard.look`` and the room of that name share one name; here the verb wins.

    Importing a submodule sets it as an attribute of its package, which would hide the function
    from then on.
    """

    @property
    def look(self) -> Any:
        return import_module("regard.look").look

    @look.setter
    def look(self, room: ModuleType) -> None:
        pass


sys.modules[__name__].__class__ = _Package
