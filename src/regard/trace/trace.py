"""The trace itself: what is in it, and where patches attend; `word_maps` has the words."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from regard.arguments import pathlike
from regard.axes import HEAD, STEP
from regard.errors import TraceError
from regard.layers import LayerQuery
from regard.trace import attention, store
from regard.trace.attention import Query
from regard.trace.intact import damaged
from regard.trace.labels import check_layers, of_words, path_of
from regard.trace.pick import Pick
from regard.trace.word_maps import TracedWords
from regard.trace.words import Token


@dataclass(frozen=True, eq=False, repr=False)
class Trace(TracedWords):
    """Which patches of an image attend to each word of a prompt, and where patches attend.

    Args:
        layers: The attention of each layer over step, head, query and key, as `labelled_layer`
            labels it: of words in running order, then of patches in running order. A layer that
            attends to both at once may be there twice, the second as ``<name>:patches``.
        tokens: All tokens of the prompt; none where there is no prompt.
        recipe: What made it: model, weights, prompt, seed and so on; plain JSON values.
        image: The image that was made or looked at, rows x columns x 3.
        table: One row per word, as `measures.words.word_table` makes it.

    Raises:
        AxisError: a layer lacks a dim, or holds tokens that the others or the prompt do not.
        ArgumentError: there is no layer, or it has a value that is no number.

    Example:
        >>> from regard.trace import toy_trace
        >>> toy_trace()
        Trace('a cat and a dog': words a, cat, and, a#2, dog; 2 layers up to 4x4; 2 steps; 2 heads)
    """

    layers: dict[str, xr.DataArray]
    tokens: tuple[Token, ...]
    recipe: dict[str, Any]
    image: NDArray[np.uint8] | None = None
    table: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        check_layers(self.layers, tokens=len(self.tokens))

    def __repr__(self) -> str:
        first, words = next(iter(self.layers.values())), self._words
        if not words:
            return self._of_image(first)
        finest = max((maps.attrs["grid"] for maps in words.values()), key=np.prod)
        counts = [
            f"averaged {axis}s"
            if axis in first.attrs["averaged"]
            else f"{first.sizes[axis]} {axis}s"
            for axis in (STEP, HEAD)
        ]
        kept = len(self.self_attention)
        more = f"; self-attention of {kept} layers" if kept else ""
        return (
            f"Trace({self.recipe.get('prompt', '')!r}: words {', '.join(self.word_names)}; "
            f"{len(words)} layers up to {finest[0]}x{finest[1]}; {'; '.join(counts)}{more})"
        )

    def _of_image(self, first: xr.DataArray) -> str:
        rows, columns = first.attrs["grid"]
        said = self.recipe.get("prediction") or []
        what = f"{said[0][0]!r}" if said else "an image"
        return (
            f"Trace({what}: queries {', '.join(self.queries)}; {len(self.layers)} layers of "
            f"{rows}x{columns} patches; {first.sizes[HEAD]} heads)"
        )

    @property
    def self_attention(self) -> dict[str, xr.DataArray]:
        """The layers of `layers` whose keys are patches, by name, over step, head, query and key.

        Example:
            >>> from regard.trace import toy_trace, toy_vision
            >>> list(toy_vision().self_attention), toy_trace().self_attention
            (['layers.0.attention', 'layers.1.attention'], {})
        """
        return {path_of(name): each for name, each in self.layers.items() if not of_words(each)}

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries of `attention` that have a name, besides the patches.

        Example:
            >>> from regard.trace import toy_vision
            >>> toy_vision().queries
            ('cls', 'mean')
        """
        return attention.queries_of(self.self_attention)

    def attention(
        self,
        query: Query = "cls",
        *,
        steps: Pick = None,
        layers: LayerQuery = None,
        heads: Pick = None,
    ) -> xr.DataArray:
        """Where a token of an image attends: its attention to each patch, 0..1.

        The mean over the chosen steps and heads of each layer, then the mean over layers; a layer
        on a coarser grid is first resized bilinearly, and keeps its sum. It is not renormalised:
        what goes to tokens that are no patches is missing, and reported in attrs.

        Args:
            query: The name of a token before the patches (``cls``, ``register.1``); a patch by its
                row and column, as in ``(0, 3)``; the patch at a point of the image, as in
                ``(0.5, 0.25)``, half of the way down and a quarter to the right; ``mean`` for the
                mean over all patches; or ``probe`` for the learned query of a pooling head.
                `queries` lists the names.
            steps: As in `heatmap`; an image of your own has one.
            layers: As in `heatmap`.
            heads: Heads, chosen as steps are; None for all.

        Returns:
            ``y``, ``x`` in attention weights; attrs name the query and the layers, and
            ``prefix_mass`` says what each token before the patches gets. ``text`` is all tokens of
            the prompt together, where image and text are attended to at once.

        Raises:
            TraceError: the trace is of a prompt, and self-attention was not kept.
            UnknownName: there is no such query or layer.
            ArgumentError: there is no such patch, step or head, or it was not kept.

        Example:
            >>> from regard.trace import toy_vision
            >>> seen = toy_vision().attention("cls", layers="layers.1", heads=0)
            >>> seen.values * 16, seen.attrs["prefix_mass"]
            (array([[5., 1.],
                   [5., 1.]]), {'cls': 0.25})
            >>> (toy_vision().attention((0.2, 0.9)) == toy_vision().attention((0, 1))).all().item()
            True
        """
        patches = self.self_attention
        if not patches:
            raise TraceError(
                "Trace.attention: this trace has no self-attention, only the maps of words. "
                "Use Trace.heatmap(word), or look again with "
                "self_attention=[(0.5, 0.5)]."
            )
        return attention.attention(patches, query, steps=steps, layers=layers, heads=heads)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the trace as a Zarr v3 folder, whole or not at all; maps as float16.

        The folder is written under another name beside ``path`` and renamed when it is complete.
        float16 keeps three decimal digits of a weight; a map with values over 1 stays float32.
        ``xarray.open_datatree(path, engine="zarr")`` reads it too.

        Args:
            path: The folder to make; the folder above it must exist.
            overwrite: Replace a trace that is there; anything else is never replaced.

        Raises:
            OutputError: something is there already, or writing failed; nothing is lost.
            ArgumentError: the recipe holds something that JSON cannot.

        Example:
            >>> import tempfile
            >>> from regard.trace import toy_trace
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     toy_trace().save(folder + "/trace.zarr")
            ...     Trace.load(folder + "/trace.zarr").word_names
            ('a', 'cat', 'and', 'a#2', 'dog')
        """
        path = pathlike(path, "path", "Trace.save")
        tree = store.tree_of(self.layers, self.tokens, self.recipe, self.image, self.table)
        store.write(tree, path, overwrite=overwrite)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "Trace":
        """Read a trace that `save` wrote; every value is checked against the stored digest.

        Args:
            path: The folder.

        Returns:
            The trace, maps as float32.

        Raises:
            TraceError: there is nothing, it is no trace, it is damaged, or it is of a later
                version; the message says which and what to do.

        Example:
            >>> Trace.load("nowhere.zarr")
            Traceback (most recent call last):
            ...
            regard.errors.TraceError: Trace.load: there is nothing at 'nowhere.zarr'. \
Give the folder that Trace.save wrote, such as trace.zarr.
        """
        tree = store.read(pathlike(path, "path", "Trace.load"))
        try:
            return Trace(*store.parts_of(tree))
        except (AttributeError, KeyError, TypeError, ValueError) as failed:
            raise damaged(path, failed) from failed
