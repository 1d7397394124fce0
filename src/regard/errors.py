"""Every exception that `regard` raises on purpose, and the helpers that word them.

A message says who: what it got, what it needs, what to do. Each class is also a standard type, so
that ``except ValueError`` still catches what a user would expect.
"""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class RegardError(Exception):
    """A mistake that can be named: its message is one line and says what to do."""


class ArgumentError(RegardError, ValueError):
    """An argument lies outside what the function takes."""


class AxisError(RegardError, ValueError):
    """A named dim is not there."""


class NotAttentionError(RegardError, ValueError):
    """Numbers that are negative or do not sum to 1 were given as attention."""


class UnknownName(RegardError, LookupError):
    """No word, model, layer or measure has this name."""


class PromptError(RegardError, ValueError):
    """A prompt that cannot be used."""


class NothingObserved(RegardError, RuntimeError):
    """The tap saw no attention; the message says what was found instead."""


class UnsupportedEdit(RegardError, RuntimeError):
    """This attention cannot be changed in the way that was asked."""


class TraceError(RegardError, ValueError):
    """A file that is no trace, or a damaged one."""


class OutputError(RegardError, OSError):
    """Something could not be written; nothing half-written is left under its final name."""


class DataError(RegardError, ValueError):
    """A data set or folder is missing, incomplete or not what it claims to be."""


class Cancelled(RegardError, RuntimeError):
    """A generation was ended from within: raise it in ``on_step``."""


class MissingDependency(RegardError, ImportError):
    """An optional library is not installed."""


def need(module: str, *, extra: str, caller: str) -> ModuleType:
    """Import an optional library, or say which pip line brings it.

    Args:
        module: Dotted name of the library.
        extra: The extra of this package that installs it.
        caller: Who needs it, for the message.

    Returns:
        The imported module.

    Raises:
        MissingDependency: the library is not installed.

    Example:
        >>> need("json", extra="none", caller="doctest").__name__
        'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise MissingDependency(
            f"{caller} needs '{module}', which is not installed: pip install 'regard[{extra}]'."
        ) from missing


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names, the nearest to ``name`` first, the rest sorted.

    Example:
        >>> nearest("entropi", ["focus", "entropy", "coverage"])
        ['entropy', 'coverage', 'focus']
    """
    rest = sorted(known)
    close = difflib.get_close_matches(name, rest, n=len(rest) or 1, cutoff=0.6)
    return close + [other for other in rest if other not in close]


def unknown(kind: str, name: str, known: Iterable[str], *, advice: str = "") -> UnknownName:
    """The error for a name that is not there, with the names that are.

    Example:
        >>> print(unknown("measure", "entropi", ["entropy"]))
        no measure is named 'entropi'. Did you mean 'entropy'? Known: entropy.
    """
    names = nearest(name, known)
    guess = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f" Did you mean '{guess[0]}'?" if guess else ""
    tail = f" {advice}" if advice else ""
    listed = ", ".join(names) or "none"
    return UnknownName(f"no {kind} is named '{name}'.{hint} Known: {listed}.{tail}")
