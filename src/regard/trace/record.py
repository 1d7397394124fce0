"""The trace itself: what is in it and what one can ask of it."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from regard.arguments import indices, pair, pathlike, shown
from regard.axes import HEAD, STEP, TOKEN, X, Y
from regard.errors import ArgumentError, AxisError, TraceError, unknown
from regard.layers import LayerQuery
from regard.trace import pick, store
from regard.trace import weights as self_attention
from regard.trace.grid import resize
from regard.trace.pick import Pick
from regard.trace.prompt import Prompt
from regard.trace.weights import UNIT, Query
from regard.trace.words import Token

DIMS = (STEP, HEAD, TOKEN, Y, X)


def layer_maps(
    maps: ArrayLike,
    *,
    steps: Sequence[int],
    timesteps: Sequence[float],
    tokens: Iterable[int],
    kind: str = "cross",
    place: str | None = None,
    averaged: Iterable[str] = (),
) -> xr.DataArray:
    """The maps of one layer, labelled as a trace wants them.

    Args:
        maps: Attention weights in 0..1 over step, head, token, y and x.
        steps: The denoising steps, one per entry of the first axis.
        timesteps: The scheduler's time at those steps.
        tokens: The indices of the tokens, one per entry of the third axis.
        kind: ``cross`` or ``joint``.
        place: ``down``, ``mid`` or ``up``, where the model has such places.
        averaged: The axes that were averaged while the model ran; they have size 1.

    Returns:
        float32 over step, head, token, y and x, in shares of a patch's attention.

    Raises:
        AxisError: ``maps`` has not five axes, or a label too many or too few.

    Example:
        >>> layer_maps(np.full((1, 1, 2, 4, 4), 0.5), steps=[0], timesteps=[999.0],
        ...            tokens=[3, 4]).sizes["token"]
        2
    """
    values = np.asarray(maps, dtype=np.float32)
    labels = (list(steps), list(tokens))
    if values.ndim != len(DIMS) or (values.shape[0], values.shape[2]) != tuple(map(len, labels)):
        raise AxisError(
            f"layer_maps: the shape is {values.shape} for {len(labels[0])} steps and "
            f"{len(labels[1])} tokens. Give maps over (step, head, token, y, x)."
        )
    coords = {
        STEP: labels[0],
        "timestep": (STEP, np.asarray(timesteps, dtype=np.float64)),
        HEAD: np.arange(values.shape[1]),
        TOKEN: labels[1],
    }
    attrs = {"units": UNIT, "kind": kind, "place": place, "averaged": sorted(averaged)}
    return xr.DataArray(values, coords, DIMS, name="maps", attrs=attrs)


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """Where every word of a prompt was looked at, or where every patch of a picture looks.

    Args:
        layers: The maps of each layer in running order, as `layer_maps` labels them; none where
            there is no prompt.
        tokens: All tokens of the prompt.
        recipe: What made it: model, weights, prompt, seed and so on; plain JSON values.
        image: The picture that was made or looked at, rows x columns x 3.
        table: One row per word, as `measures.words.word_table` makes it.
        weights: The self-attention of each layer in running order, as `layer_weights` labels it.

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
    weights: dict[str, xr.DataArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.layers and not self.weights:
            raise ArgumentError("Trace: there is no layer. Give the maps of at least one.")
        self_attention.check(self.weights, alike=not self.layers)
        for name, maps in self.layers.items():
            _check_layer(name, maps, kept=self._kept, tokens=len(self.tokens))

    def __repr__(self) -> str:
        if not self.layers:
            return self._picture()
        finest = max((_grid(maps) for maps in self.layers.values()), key=np.prod)
        first = next(iter(self.layers.values()))
        counts = [
            f"averaged {axis}s"
            if axis in first.attrs["averaged"]
            else f"{first.sizes[axis]} {axis}s"
            for axis in (STEP, HEAD)
        ]
        return (
            f"Trace({self.recipe.get('prompt', '')!r}: words {', '.join(self.word_names)}; "
            f"{len(self.layers)} layers up to {finest[0]}x{finest[1]}; {'; '.join(counts)}"
            f"{self._patches()})"
        )

    def _patches(self) -> str:
        """Of how many layers self-attention was kept beside the maps of words."""
        return f"; self-attention of {len(self.weights)} layers" if self.weights else ""

    def _picture(self) -> str:
        first = next(iter(self.weights.values()))
        rows, columns = first.attrs["grid"]
        said = self.recipe.get("prediction") or []
        what = f"{said[0][0]!r}" if said else "a picture"
        return (
            f"Trace({what}: queries {', '.join(self.queries)}; {len(self.weights)} layers of "
            f"{rows}x{columns} patches; {first.sizes[HEAD]} heads)"
        )

    @property
    def _kept(self) -> tuple[int, ...]:
        first = next(iter(self.layers.values()), None)
        return () if first is None else tuple(int(index) for index in first[TOKEN].values)

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries of `attention` that have a name, besides the patches.

        Example:
            >>> from regard.trace import toy_vision
            >>> toy_vision().queries
            ('cls', 'mean')
        """
        return self_attention.queries_of(self.weights)

    @property
    def word_names(self) -> tuple[str, ...]:
        """The words that have maps, in prompt order.

        Example:
            >>> from regard.trace import toy_trace
            >>> toy_trace().word_names
            ('a', 'cat', 'and', 'a#2', 'dog')
        """
        kept = set(self._kept)
        return tuple(
            dict.fromkeys(t.name for t in self.tokens if t.role == "word" and t.index in kept)
        )

    def tokens_of(self, word: str) -> list[int]:
        """The indices of the tokens that spell a word.

        Args:
            word: A word of the prompt in any capitals, ``cat#2`` for the second cat, or
                ``[start]``, ``[end]``, ``[pad]``.

        Returns:
            Token indices, in order.

        Raises:
            UnknownName: there is no such word, or its maps were not kept.
            ArgumentError: the word is no text.

        Example:
            >>> from regard.trace import toy_trace
            >>> toy_trace().tokens_of("CAT"), toy_trace().tokens_of("[pad]")
            ([2], [7])
        """
        if not isinstance(word, str):
            raise ArgumentError(
                f"Trace: word is {shown(word)} and must be a text. Name one of "
                f"{', '.join(self.word_names)}."
            )
        named = [token.index for token in self.tokens if _same(token.name, word)]
        found = [index for index in named if index in set(self._kept)]
        if found:
            return found
        advice = "Capitals do not matter; the second 'cat' of a prompt is 'cat#2'."
        if named:
            advice = "It is in the prompt, but its maps were not kept: look again with words=None."
        raise unknown("word", word, self.word_names, advice=advice)

    def words(self) -> pd.DataFrame:
        """What each word of the prompt counts for: the table that was stored with the trace.

        Returns:
            A copy: word, role, mass (share of attention), entropy (0 on one patch, 1 even),
            duplicate_of and verdict, in prompt order; after a proof also its evidence.

        Raises:
            TraceError: no table was stored, or the trace is of a picture.

        Example:
            >>> from dataclasses import replace
            >>> from regard.measures.words import word_table
            >>> from regard.trace import toy_trace
            >>> trace = toy_trace()
            >>> replace(trace, table=word_table(trace)).words()["mass"].sum().item()
            1.0
        """
        if not self.layers:
            raise TraceError(
                "Trace.words: this trace has no words; it tells where the patches of a picture "
                "look. Use Trace.attention(query)."
            )
        if self.table is None:
            raise TraceError(
                "Trace.words: this trace has no table of words. "
                "Make one with regard.measures.words.word_table(trace)."
            )
        return self.table.copy()

    @property
    def reading(self) -> dict[str, Any]:
        """How words of this model are best read, as `heatmap` takes it.

        For a bundled model it was measured, as its card says; for any other it is every layer and a
        word's own tokens. The recipe says which and why.

        Example:
            >>> from regard.trace import toy_trace
            >>> toy_trace().reading
            {'carriers': False, 'layers': None}
        """
        told = self.recipe.get("reading") or {}
        return {"carriers": bool(told.get("carriers")), "layers": told.get("layers") or None}

    def carriers_of(self, word: str) -> list[int]:
        """The indices of the tokens that carry a word: its own, and the next word's first.

        A causal text encoder reads from left to right, so the token after a word is the first that
        has read all of it. The start, the end and the padding never count as a next token. They
        have none themselves.

        Args:
            word: As in `tokens_of`.

        Returns:
            Token indices, in order.

        Raises:
            UnknownName: there is no such word, or its maps were not kept.
            TraceError: the maps of the next token were not kept.

        Example:
            >>> from regard.trace import toy_trace
            >>> toy_trace().carriers_of("cat"), toy_trace().carriers_of("dog")
            ([2, 3], [5])
        """
        own = self.tokens_of(word)
        if all(self.tokens[index].role != "word" for index in own):
            return own
        (found,) = Prompt(str(self.recipe.get("prompt", "")), self.tokens).carriers([word])
        missing = [self.tokens[index] for index in found if index not in set(self._kept)]
        if missing:
            raise TraceError(
                f"Trace.heatmap: '{missing[0].name}' comes after '{word}' and carries it, but its "
                f"maps were not kept. Look again with words=None, or leave out carriers=True."
            )
        return found

    def heatmap(
        self,
        word: str,
        *,
        carriers: bool = False,
        steps: Pick = None,
        layers: LayerQuery = None,
        heads: Pick = None,
        grid: tuple[int, int] | None = None,
    ) -> xr.DataArray:
        """Where a word was looked at: each patch's attention to it, 0..1.

        The sum over the tokens of the word, then the mean over the chosen steps and heads of each
        layer, then the mean over layers, each of the same weight. Layers on coarser grids are
        first resized bilinearly.

        Args:
            word: As in `tokens_of`.
            carriers: Whether the token after the word counts as the word's too, as in
                `carriers_of`: a causal text encoder may leave the word there.
            steps: Denoising steps: a number (-1 is the last), several, or a slice; None for all.
            layers: A path or whole names in it, ``down``, ``mid``, ``up``, a kind, a grid such as
                ``16x16``, a place in running order (-1 is the last), or several; None for all.
            heads: Heads, chosen as steps are; None for all.
            grid: Rows and columns of the answer; by default the finest grid chosen.

        Returns:
            ``y``, ``x`` in shares of a patch's attention; attrs name the word, layers and grid, and
            with carriers the tokens.

        Raises:
            TraceError: the trace is of a picture, without words; or the maps of the next token
                were not kept.
            UnknownName: there is no such word or layer.
            ArgumentError: there is no such step or head, or they were averaged.

        Example:
            >>> from regard.trace import toy_trace
            >>> toy_trace().heatmap("dog", layers="mid", grid=(1, 2)).values * 32
            array([[1., 6.]])
            >>> toy_trace().heatmap("dog", layers="mid", grid=(1, 2), carriers=True).values * 32
            array([[1., 6.]])
        """
        read = self.carriers_of if carriers else self.tokens_of
        maps = self.token_maps(
            tokens=read(word) if self.layers else [],
            steps=steps,
            layers=layers,
            heads=heads,
            grid=grid,
        )
        told = {"tokens": [int(index) for index in maps[TOKEN].values]} if carriers else {}
        return maps.sum(TOKEN).rename("heatmap").assign_attrs(maps.attrs, word=word, **told)

    def token_maps(
        self,
        *,
        tokens: Sequence[int] | None = None,
        steps: Pick = None,
        layers: LayerQuery = None,
        heads: Pick = None,
        grid: tuple[int, int] | None = None,
    ) -> xr.DataArray:
        """Where each token was looked at: the maps that `heatmap` adds up, all in one go.

        Args:
            tokens: Indices of tokens; None for all that were kept.
            steps: As in `heatmap`.
            layers: As in `heatmap`.
            heads: As in `heatmap`.
            grid: As in `heatmap`.

        Returns:
            ``token``, ``y``, ``x`` in shares of a patch's attention.

        Raises:
            TraceError: the trace is of a picture and has no words.
            UnknownName: there is no such layer.
            ArgumentError: there is no such step or head, or they were averaged.

        Example:
            >>> from regard.trace import toy_trace
            >>> toy_trace().token_maps(layers="mid", grid=(1, 2)).sizes["token"]
            8
        """
        if not self.layers:
            raise TraceError(
                "Trace.heatmap: this trace has no words; it tells where the patches of a picture "
                "look. Use Trace.attention(query)."
            )
        wanted = list(self._kept) if tokens is None else self._checked(tokens)
        sides = pair(grid, "grid", "heatmap", cure="Leave it out for the finest grid.")
        chosen = pick.layers(self.layers, layers)
        finest = max((_grid(self.layers[name]) for name in chosen), key=np.prod)
        rows, columns = sides or finest
        total = np.zeros((len(wanted), rows, columns))
        for name in chosen:
            mean = _mean_maps(self.layers[name], name, wanted, steps=steps, heads=heads)
            total += resize(mean, (rows, columns)).transpose(TOKEN, Y, X).values
        attrs = {"units": UNIT, "grid": [rows, columns], "layers": chosen}
        return xr.DataArray(
            total / len(chosen), {TOKEN: wanted}, (TOKEN, Y, X), name="token_maps", attrs=attrs
        )

    def _checked(self, tokens: Sequence[int]) -> list[int]:
        found = indices(tokens, "tokens", "heatmap")
        missing = (
            [index for index in found if index not in set(self._kept)]
            if isinstance(found, list)
            else [0]
        )
        if not isinstance(found, list) or missing:
            raise ArgumentError(
                f"heatmap: tokens is {shown(tokens)} and must be indices of tokens that were "
                f"kept: {', '.join(map(str, self._kept))}."
            )
        return found

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
        what goes to tokens that are no patches is missing, and told in attrs.

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
        if not self.weights:
            raise TraceError(
                "Trace.attention: this trace has no self-attention; it tells where words were "
                "looked at. Use Trace.heatmap(word), or look again with "
                "self_attention=[(0.5, 0.5)]."
            )
        return self_attention.attention(
            self.weights, query, steps=steps, layers=layers, heads=heads
        )

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
        tree = store.tree_of(
            self.layers, self.tokens, self.recipe, self.image, self.table, self.weights
        )
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
            raise store.damaged(path, failed) from failed


def _check_layer(name: str, maps: xr.DataArray, *, kept: tuple[int, ...], tokens: int) -> None:
    if maps.dims != DIMS:
        raise AxisError(f"Trace: layer '{name}' has dims {maps.dims}; give {DIMS}, as layer_maps.")
    if tuple(maps[TOKEN].values) != kept or not all(0 <= index < tokens for index in kept):
        raise AxisError(
            f"Trace: layer '{name}' has tokens {maps[TOKEN].values.tolist()}, the first layer "
            f"{list(kept)}, the prompt 0..{tokens - 1}. Keep the same tokens of it in every layer."
        )
    if not np.isfinite(maps.values).all():
        raise ArgumentError(f"Trace: layer '{name}' has values that are no numbers. Look again.")


def _mean_maps(
    maps: xr.DataArray, name: str, tokens: list[int], *, steps: Pick, heads: Pick
) -> xr.DataArray:
    at_step = pick.positions(maps, steps, axis=STEP, layer=name)
    at_head = pick.positions(maps, heads, axis=HEAD, layer=name)
    part = maps.sel({TOKEN: tokens}).isel({STEP: at_step, HEAD: at_head})
    # float64: thousands of small weights are added up.
    return part.mean((STEP, HEAD), dtype=np.float64)


def _grid(maps: xr.DataArray) -> tuple[int, int]:
    return maps.sizes[Y], maps.sizes[X]


def _same(name: str, word: str) -> bool:
    return name.casefold() == word.casefold()
