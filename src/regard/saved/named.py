"""Names of the folders that results are written to where none is given."""

import re
from collections.abc import Iterable


def folder_name(prompt: str, seed: int) -> str:
    """The name of what one prompt and seed gave.

    Example:
        >>> folder_name("A cat and a blue car", 0)
        'a-cat-and-a-blue-car-seed0'
    """
    return f"{stem(prompt)}-seed{seed}"


def stem(text: str) -> str:
    """A text as part of a name: letters, digits and dashes.

    Example:
        >>> stem("A cat, or two?"), stem("?")
        ('a-cat-or-two', 'look')
    """
    # File systems take 255 bytes, a letter may be four of them, and two stems make a name.
    plain = re.sub(r"[\W_]+", "-", text.casefold())[:50]
    return plain.encode()[:100].decode(errors="ignore").strip("-") or "look"


def apart(names: Iterable[str]) -> list[str]:
    """The same names, those that come again with a number.

    Example:
        >>> apart(["a", "b", "a", "a-2"])
        ['a', 'b', 'a-2', 'a-2-2']
    """
    taken: list[str] = []
    for name in names:
        found, count = name, 1
        while found in taken:
            count += 1
            found = f"{name}-{count}"
        taken.append(found)
    return taken
