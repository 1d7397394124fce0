"""Edits and observers as users pass them, fitted to a model: layers are looked up in it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from regard.layers import LayerInfo
from regard.tap.actions import Action, as_actions
from regard.tap.model import Root, layer_infos, sites_of
from regard.tap.select import Select


class Fitting:
    """What edits and observers are looked up in.

    Args:
        model: A pipeline or a module.
        roots: The modules of it that are tapped.
    """

    def __init__(self, model: Any, roots: Sequence[Root]) -> None:
        self.model, self.roots = model, roots

    def fitted(self, given: Any, name: str) -> list[Action]:
        """Pairs of a choice and a function.

        Args:
            given: What a user passed as ``observe`` or ``edit``.
            name: Which of the two.

        Raises:
            ArgumentError: it is no list of functions, or pairs of a `Select` and one.
            UnknownName: no layer is called so.
        """
        return [(self._among(select), function) for select, function in as_actions(given, name)]

    @cached_property
    def _infos(self) -> list[LayerInfo]:
        return layer_infos(self.model)

    def _among(self, select: Select) -> Select:
        if select.layers is None or callable(select.layers):
            return select
        modules = [LayerInfo(site.layer) for root in self.roots for site in sites_of(root)]
        select.check_named(self._infos, modules)
        return select.among(self._infos)
