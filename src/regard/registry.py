"""Names to objects: literal tables whose entries are imported when they are asked for."""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from regard.errors import ArgumentError, unknown


class Registry:
    """What a package offers, by name; other packages add to it through an entry-point group.

    Listing the names imports nothing. A package adds an entry under ``regard.<kind>``.

    Args:
        kind: What the entries are, in one word, such as ``"measure"``.
        table: Our own entries, from names to ``"module:attribute"``.

    Raises:
        ArgumentError: from every read, when two packages claim one name.

    Example:
        >>> shapes = Registry("shape", {"tau": "math:tau"})
        >>> shapes.names(), shapes.get("tau") > 6
        (('tau',), True)
    """

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self.table = dict(table)

    def places(self) -> dict[str, str]:
        """Where each entry is found, ``"module:attribute"`` by name, sorted by name.

        Raises:
            ArgumentError: two packages claim one name.

        Example:
            >>> Registry("shape", {"tau": "math:tau"}).places()
            {'tau': 'math:tau'}
        """
        found = dict(self.table)
        for entry in entry_points(group=f"regard.{self.kind}"):
            taken = found.get(entry.name)
            if taken is not None:
                raise ArgumentError(
                    f"two packages claim the {self.kind} '{entry.name}': {taken} and "
                    f"{entry.value}. Uninstall one, or rename its entry point."
                )
            found[entry.name] = entry.value
        return dict(sorted(found.items()))

    def names(self) -> tuple[str, ...]:
        """The names there are, sorted; nothing is imported.

        Example:
            >>> Registry("shape", {"tau": "math:tau", "e": "math:e"}).names()
            ('e', 'tau')
        """
        return tuple(self.places())

    def get(self, name: str) -> Any:
        """The object of this name, imported now.

        Args:
            name: One of ``names()``.

        Returns:
            The object that the table points to.

        Raises:
            UnknownName: nothing has this name; the message gives the nearest that have one.

        Example:
            >>> Registry("shape", {"tau": "math:tau"}).get("tau")
            6.283185307179586
        """
        places = self.places()
        if name not in places:
            raise unknown(self.kind, name, places)
        module, _, attribute = places[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self.places()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.places())

    def __repr__(self) -> str:
        return f"Registry({self.kind}: {', '.join(self.names()) or 'empty'})"


class _Package(ModuleType):
    """A package that hands out public names when they are first used, and lists them.

    A name may be that of a submodule too, as a method and the module that it stands in: importing
    a submodule sets it as an attribute of its package, which would hide the public name from then
    on, so the package does not take it.
    """

    _homes: Mapping[str, str]
    _more: Callable[[], Mapping[str, str]]

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in self._homes):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        place = self._homes.get(name) or self._more().get(name)
        if name.startswith("__") or place is None:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        module, _, attribute = place.partition(":")
        found = importlib.import_module(module)
        value = getattr(found, attribute) if attribute else found
        super().__setattr__(name, value)
        return value

    def __dir__(self) -> list[str]:
        shown = {name for name in vars(self) if name not in ("_homes", "_more", "hand_out")}
        return sorted({*shown, *self._homes, *self._more()})


def hand_out(package: str, homes: Mapping[str, str], *registries: Registry) -> None:
    """Let a package hand out names when they are first used, so that importing it is quick.

    Args:
        package: The package's ``__name__``.
        homes: From public names to ``"module:attribute"``, or ``"module"`` for a module.
        *registries: Whose entries are names of the package too; dashes become underscores.

    Example:
        >>> import sys
        >>> package = sys.modules["a_package"] = ModuleType("a_package")
        >>> hand_out("a_package", {"pi": "math:pi"}, Registry("shape", {"inner-e": "math:e"}))
        >>> names = [name for name in dir(package) if name[0] != "_"]
        >>> package.pi > 3, package.inner_e > 2, names
        (True, True, ['inner_e', 'pi'])
    """
    # Our own entries are known now; those of other packages when one is asked for.
    own = {name: place for each in registries for name, place in each.table.items()}
    module = sys.modules[package]
    module.__dict__["_homes"] = {**{_spelled(name): own[name] for name in own}, **homes}
    module.__dict__["_more"] = lambda: {
        _spelled(name): place for each in registries for name, place in each.places().items()
    }
    for name in module.__dict__["_homes"]:  # submodules that were imported before
        if isinstance(vars(module).get(name), ModuleType):
            del module.__dict__[name]
    module.__class__ = _Package


def _spelled(name: str) -> str:
    return name.replace("-", "_")
