"""Model families: how the attention layers of a model class are laid out, and which are known."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from regard.errors import ArgumentError
from regard.tap.families import FAMILIES
from regard.tap.layout import LayerShape, Layout, TokenLayout
from regard.tap.segment import spelled_out


@dataclass(frozen=True)
class FamilyLayout:
    """Models whose attention layers are laid out alike.

    Attributes:
        layout: Says what queries and keys are.
        stage: 'down', 'mid' or 'up' for a layer's path; None where a family has no stages.
    """

    layout: Layout
    stage: Callable[[str], str | None] = lambda layer: None

    def laid(
        self, model: nn.Module, inputs: Mapping[str, Any], shape: LayerShape
    ) -> TokenLayout | None:
        """The layout of one call, which has as many queries and keys as the call has.

        Raises:
            ArgumentError: the layout of this model does not fit this layer.
        """
        try:
            layout = self.layout(model, inputs, shape)
        except ArgumentError as wrong:
            raise _unfit(model, shape, str(wrong)) from wrong
        if layout is not None:
            for what, axis, count in (
                ("queries", layout.queries, shape.queries),
                ("keys", layout.keys, shape.keys),
            ):
                if not axis or axis[-1].stop != count:
                    stop = axis[-1].stop if axis else 0
                    why = f"it says {stop} {what} ({spelled_out(axis)}), and the layer has {count}."
                    raise _unfit(model, shape, why)
        return layout


_added: dict[str, FamilyLayout] = {}


def layout_for(
    *classes: str, stage: Callable[[str], str | None] | None = None
) -> Callable[[Layout], Layout]:
    """Register a layout for model classes of your own, by class name.

    Args:
        classes: Names of ``nn.Module`` classes; subclasses are covered too.
        stage: From a layer's path to its UNet stage; None if there are no stages.

    Returns:
        A decorator for a function ``layout(model, inputs, shape) -> TokenLayout``.

    Raises:
        ArgumentError: one of the classes already has a layout.

    Example:
        >>> @layout_for("PixelTransformer")
        ... def pixels(model, inputs, shape):
        ...     image = segments(("image", shape.queries, inputs["x"].shape[-2:]))
        ...     return TokenLayout(image, image)
        >>> forget_layout("PixelTransformer")
    """
    taken = [name for name in classes if has_layout(name)]
    if taken:
        raise ArgumentError(
            f"layout_for: {', '.join(taken)} has a layout already. Subclass it or pass layout= "
            f"to Tap."
        )

    def register(layout: Layout) -> Layout:
        family = FamilyLayout(layout, stage) if stage else FamilyLayout(layout)
        _added.update(dict.fromkeys(classes, family))
        return layout

    return register


def forget_layout(*classes: str) -> None:
    """Take back what ``layout_for`` registered for these class names."""
    for name in classes:
        _added.pop(name, None)


def has_layout(name: str) -> bool:
    """Whether there is a layout for the model class of this name.

    Example:
        >>> has_layout("UNet2DConditionModel"), has_layout("Linear")
        (True, False)
    """
    return name in FAMILIES or name in _added


def family_of(model: nn.Module) -> FamilyLayout | None:
    """The family of a model, looked up by class name along the MRO; None if it is unknown."""
    for kind in type(uncompiled_of(model)).__mro__:
        if kind.__name__ in _added:
            return _added[kind.__name__]
        if kind.__name__ in FAMILIES:
            family: FamilyLayout = importlib.import_module(FAMILIES[kind.__name__]).FAMILY
            return family
    return None


def uncompiled_of(model: Any) -> Any:
    """The model inside one that ``torch.compile`` has made of it; any other as it is."""
    return vars(model).get("_modules", {}).get("_orig_mod", model)


def _unfit(model: nn.Module, shape: LayerShape, why: str) -> ArgumentError:
    return ArgumentError(
        f"layout of {type(model).__name__} does not fit layer {shape.layer}: {why} Where tokens "
        f"are merged, left out or added on the way, or positions are not those of this size, pass "
        f"Tap a layout= of your own; it may return None for a layer that is not known."
    )
