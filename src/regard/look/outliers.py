"""Which tokens of an image are outsized in which layer, by name."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from regard.measures.outliers import norm_outliers_of_rows


@contextmanager
def token_lengths(model: Any) -> Iterator[dict[str, Any]]:
    """The length of each token that the layers of a model read, while it runs.

    Args:
        model: A module whose layers are in lists, as those of transformers are.

    Yields:
        A tensor [token] for each layer by its path, once the model has run; nothing of layers that
        read no tokens of one image.
    """
    from torch import nn

    lengths: dict[str, Any] = {}
    with ExitStack() as opened:
        for path, part in model.named_modules():
            for number, layer in part.named_children() if isinstance(part, nn.ModuleList) else ():
                name = f"{path}.{number}" if path else number
                hook = layer.register_forward_pre_hook(
                    partial(_measure, lengths, name), with_kwargs=True
                )
                opened.callback(hook.remove)
        yield lengths


def outliers_of(
    lengths: Mapping[str, Any], layers: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[str]]:
    """The tokens of outsized norm among those that each layer reads, by name.

    Args:
        lengths: As `token_lengths` gives them.
        layers: Of the attention layers in which tokens look at each other, the names of the tokens
            before the patches (``prefix``) and the ``grid`` of the patches.

    Returns:
        Names, such as ``cls`` or ``y 0, x 3``, by attention layer; those without are left out.

    Example:
        >>> import torch
        >>> lengths = {"layer.0": torch.tensor([1.0, 1.1, 0.9, 1.0, 9.0])}
        >>> outliers_of(lengths, {"layer.0.attention": {"prefix": ["cls"], "grid": (2, 2)}})
        {'layer.0.attention': ['y 1, x 1']}
    """
    found = {}
    for name, layer in layers.items():
        prefix, (rows, columns) = list(layer["prefix"]), layer["grid"]
        above = [path for path in lengths if name.startswith(f"{path}.")]
        read = lengths[max(above, key=len)] if above else ()
        if len(read) != len(prefix) + rows * columns:
            continue
        outsized = norm_outliers_of_rows(read).nonzero().flatten().tolist()
        if outsized:
            found[name] = [_named(at, prefix, columns) for at in outsized]
    return found


def _measure(
    lengths: dict[str, Any], name: str, layer: Any, given: tuple[Any, ...], named: dict[str, Any]
) -> None:
    states = given[0] if given else named.get("hidden_states")
    if getattr(states, "ndim", 0) == 3 and len(states) == 1:
        lengths[name] = states[0].detach().double().norm(dim=-1).cpu()


def _named(at: int, prefix: list[str], columns: int) -> str:
    if at < len(prefix):
        return prefix[at]
    row, column = divmod(at - len(prefix), columns)
    return f"y {row}, x {column}"
