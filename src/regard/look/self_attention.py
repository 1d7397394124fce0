"""What to keep of where an image's own patches attend while it is generated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from regard.arguments import caller, shown, whole
from regard.axes import HEAD, STEP
from regard.errors import ArgumentError, unknown
from regard.layers import LayerInfo, LayerQuery, chosen, is_grid, parts_of
from regard.trace import labelled_layer
from regard.trace.patches import Patch, checked_patches

MOST = 256 * 2**20
"""Bytes of weights that are kept unasked: 256 MiB."""

KINDS = ("", "self", "joint")
"""The kinds of layers in which an image can attend to itself; the empty one is not known yet."""


@dataclass(frozen=True)
class SelfAttention:
    """Which patches' attention `look` keeps, in which layers.

    Args:
        patches: Those that attend: each the row and column of a patch, as in ``(0, 3)``, counted on
            the grid of each layer; or a point of the image, as in ``(0.5, 0.25)``, half of the way
            down and a quarter to the right, which is a patch of every grid. None for every patch.
        layers: Which self-attention and joint layers, as `regard.layers` has them called; None for
            all.
        max_bytes: Bytes of weights to keep of an image at most: 4 for each patch and key of each
            layer, step and head that is kept.

    Raises:
        ArgumentError: an argument is none of these.

    Example:
        >>> SelfAttention((0.5, 0.5), layers="mid").patches
        ((0.5, 0.5),)
    """

    patches: Patch | Sequence[Patch] | None = None
    layers: LayerQuery = None
    max_bytes: int = MOST

    def __post_init__(self) -> None:
        patches = checked_patches(self.patches, name="self_attention", caller=caller())
        object.__setattr__(self, "patches", patches)
        parts_of(self.layers, caller())
        object.__setattr__(self, "max_bytes", whole(self.max_bytes, "max_bytes", caller(), least=1))

    @classmethod
    def of(cls, value: Any) -> "SelfAttention | None":
        """From what `look` is given: itself, patches, a mapping of its arguments, or None.

        Raises:
            ArgumentError: it is none of these.
            UnknownName: there is no such argument.

        Example:
            >>> SelfAttention.of([(0, 3), (0.5, 0.5)]).patches
            ((0, 3), (0.5, 0.5))
            >>> SelfAttention.of({"layers": "up"}).patches is None
            True
        """
        if value is None or isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            if isinstance(value, bool):
                raise ArgumentError(
                    f"{caller()}: self_attention is {shown(value)} and must be patches, such as "
                    f"[(0.5, 0.5)], or SelfAttention() for every patch."
                )
            return cls(value)
        known = [field.name for field in fields(cls)]
        for name in value:
            if name not in known:
                raise unknown("argument of self_attention", str(name), known)
        return cls(**value)

    def check_among(self, layers: Sequence[LayerInfo]) -> None:
        """Refuse layers that the model has not, before it runs.

        Args:
            layers: Those of the model, in running order.

        Raises:
            UnknownName: no layer in which the image attends to itself is called so.
            ArgumentError: there is no layer with such a number.
        """
        there = [each for each in layers if each.kind in KINDS]
        for part in parts_of(self.layers, caller()) or []:
            # Grids are known only when the model has run.
            if not (isinstance(part, str) and is_grid(part)):
                chosen(there, part, caller=caller(), noun="self-attention layer")


class PatchRows:
    """What `look` keeps of self-attention while an image is generated.

    Args:
        asked: What was asked for.
        model: A `TextToImage`.
        keep: As `look` has it; layers are kept apart in any case, as their grids differ.
        steps: How many steps there will be.
        sample: Which image of the batch.
    """

    def __init__(
        self,
        asked: SelfAttention,
        model: Any,
        keep: Sequence[str],
        steps: int,
        *,
        sample: int = 0,
    ) -> None:
        from regard.tap import Select
        from regard.tap.observers import ImageRows

        asked.check_among(model.layers)
        self.averaged = [axis for axis in (STEP, HEAD) if axis not in keep]
        patches = checked_patches(asked.patches, name="self_attention", caller=caller())
        self.rows = ImageRows(patches, keep=keep, steps=steps, most=asked.max_bytes, sample=sample)
        self.observers = [(Select(query="image", key="image", layers=asked.layers), self.rows)]

    def finish(self) -> None:
        """Take the weights, once the image is there."""
        self.taken = self.rows.take()

    def recipe(self) -> dict[str, Any]:
        """What a recipe says of it."""
        patches = self.rows.patches
        return {
            "self_attention": {
                "patches": "all" if patches is None else [list(each) for each in patches],
                "layers": [each.layer for each in self.taken],
            }
        }

    def labelled(self, timesteps: Sequence[float]) -> dict[str, Any]:
        """The weights of each layer; each is let go when it has its labels."""
        found = {}
        while self.taken:
            each = self.taken.pop(0)
            kept = STEP not in self.averaged
            found[each.layer] = labelled_layer(
                each.weights.numpy(),
                grid=each.grid,
                prefix=each.prefix,
                queries=each.queries,
                kind=each.kind,
                stage=each.stage,
                steps=each.steps if kept else each.steps[:1],
                timesteps=[timesteps[step] for step in each.steps] if kept else [float("nan")],
                averaged=self.averaged,
            )
        return found


def patches_from(text: str) -> list[Patch] | None:
    """Patches as the command line has them: ``0.5,0.25 0,3``, or ``all`` for every patch.

    Raises:
        ArgumentError: it is neither.

    Example:
        >>> patches_from("0.5,0.25 0,3"), patches_from("all")
        ([(0.5, 0.25), (0, 3)], None)
    """
    if text.strip() == "all":
        return None
    try:
        numbers = [
            tuple(float(part) if "." in part else int(part) for part in each.split(","))
            for each in text.split()
        ]
        return list(checked_patches(numbers, name="self_attention", caller=caller()) or ())
    except ValueError as failed:
        if isinstance(failed, ArgumentError):
            raise
        raise ArgumentError(
            f"{caller()}: --self-attention is {shown(text)} and must be patches with a blank "
            f"between them, each ROW,COLUMN or a point of the image, such as '0.5,0.25 0,3'; or "
            f"'all'."
        ) from failed
