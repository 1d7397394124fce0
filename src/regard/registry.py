"""Names to objects: literal tables whose entries are imported when they are asked for."""

import importlib
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from regard.errors import ArgumentError, unknown


class Registry:
    """What a room offers, by name; other packages add to it through an entry-point group.

    Listing the names imports nothing. A package adds an entry under ``regard.<kind>``.

    Args:
        kind: What the entries are, in one word, such as ``"measure"``.
        table: From names to ``"module:attribute"``.

    Raises:
        ArgumentError: from every read, when two packages claim one name.

    Example:
        >>> shapes = Registry("shape", {"tau": "math:tau"})
        >>> shapes.names(), shapes.get("tau") > 6
        (('tau',), True)
    """

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._table = dict(table)

    def places(self) -> dict[str, str]:
        """Where each entry is found, ``"module:attribute"`` by name, sorted by name.

        Raises:
            ArgumentError: two packages claim one name.

        Example:
            >>> Registry("shape", {"tau": "math:tau"}).places()
            {'tau': 'math:tau'}
        """
        found = dict(self._table)
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
