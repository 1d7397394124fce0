"""Vision transformers that are in no list, and are tried: which patch is which token.

The patches of an image might come in another order, in windows, or not all. So one patch at a time
is changed, and in what the first attention layer reads exactly the token of that patch may change.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from regard.tap.families import vit
from regard.tap.family import FamilyLayout, family_of, uncompiled_of

CLOSE = 1e-4
"""What counts as no change, as a share of the largest value."""

_wrong: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
"""Of each model that was tried, why its tokens are not known; empty where they are."""


class _Read(Exception):  # noqa: N818  it ends a forward, and is no error
    def __init__(self, states: Tensor | None) -> None:
        super().__init__()
        self.states = states


def family_or_proven(model: nn.Module, attention: Mapping[str, nn.Module]) -> FamilyLayout | None:
    """The family of a model by its class or, for a vision transformer, by trying it; None else.

    Args:
        model: The module.
        attention: Its layers that say they are attention.

    Example:
        >>> from transformers import BeitConfig, BeitModel
        >>> sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
        >>> config = BeitConfig(image_size=8, patch_size=4, num_hidden_layers=1, **sizes)
        >>> model = BeitModel(config).eval()
        >>> family_of(model) is None
        True
        >>> family_or_proven(model, {"0": model.layers[0].attention}) is None
        False
    """
    found, plain = family_of(model), uncompiled_of(model)
    if found is not None or not _takes_patches(plain):
        return found
    if _wrong.get(plain, "untried"):  # in vain so far: it may have been in training
        _wrong[plain] = _out_of_order(plain, attention)
    return None if _wrong[plain] else vit.FAMILY


def why_unknown(model: nn.Module) -> str:
    """What was found where a vision transformer was tried in vain; empty for any other model."""
    return _wrong.get(uncompiled_of(model), "")


def _takes_patches(model: nn.Module) -> bool:
    """Whether a model says that it takes the pixels of an image, in patches."""
    if getattr(model, "main_input_name", "") != "pixel_values":
        return False
    return all(hasattr(vit.config_of(model), name) for name in ("patch_size", "image_size"))


def _out_of_order(model: nn.Module, attention: Mapping[str, nn.Module]) -> str:
    """Why patches that are tried are not the tokens that the layout says; empty if they are."""
    try:
        return _tried(model, attention)
    except Exception as failed:  # of a model that nothing is known of, anything may be raised
        return f"it could not be tried on pixels alone ({type(failed).__name__})"


def _tried(model: nn.Module, attention: Mapping[str, nn.Module]) -> str:
    config = vit.config_of(model)
    size = vit.sides_of(config.image_size)
    rows, columns = vit.patch_grid(size, config.patch_size)
    before = sum(vit.special(model).values())
    cells = list(dict.fromkeys([(0, 0), (0, columns - 1), (rows // 2, 0), (rows - 1, columns - 1)]))
    states = _first_read(model, _changed(model, config, size, cells), attention)
    if states is None:
        return "its first attention layer is not given tokens of each image"
    if states.shape[1] != before + rows * columns:
        return (
            f"of {rows} x {columns} patches and {before} tokens before them it attends to "
            f"{states.shape[1]}"
        )
    moved = (states - states[:1]).abs().amax(-1) > CLOSE * states.abs().max()
    expected = torch.zeros_like(moved)
    for number, (row, column) in enumerate(cells):
        expected[2 + number, before + row * columns + column] = True
    if moved[1].any():
        return "the same image gives other tokens each time"
    if not torch.equal(moved, expected):
        return "a change of one patch does not change its token alone, counted row by row"
    return ""


def _changed(
    model: nn.Module, config: Any, size: tuple[int, int], cells: list[tuple[int, int]]
) -> Tensor:
    """One image twice, and then with a patch changed each."""
    high, wide = vit.sides_of(config.patch_size)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, int(getattr(config, "num_channels", 3)), *size, generator=generator)
    images = image.repeat(2 + len(cells), 1, 1, 1)
    for number, (row, column) in enumerate(cells):
        part = images[2 + number, :, row * high : (row + 1) * high, column * wide :][..., :wide]
        part += torch.randn(part.shape, generator=generator)
    parameter = next(model.parameters())
    return images.to(parameter.device, parameter.dtype)


def _first_read(
    model: nn.Module, images: Tensor, attention: Mapping[str, nn.Module]
) -> Tensor | None:
    """What the attention layer that runs first is given, [image, token, width]."""

    def read(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [each for each in (*args, *kwargs.values()) if torch.is_tensor(each)]
        if given and given[0].ndim == 3 and len(given[0]) == len(images):
            raise _Read(given[0].float())
        raise _Read(None)

    devices = [images.device] if images.is_cuda else []
    with ExitStack() as opened, torch.no_grad(), torch.random.fork_rng(devices):
        for module in attention.values():
            opened.callback(module.register_forward_pre_hook(read, with_kwargs=True).remove)
        try:
            model(pixel_values=images)
        except _Read as found:
            return found.states
    return None
