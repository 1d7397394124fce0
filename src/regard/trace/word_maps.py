"""What a trace says of the words of a prompt: which tokens they are, and which patches attend."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from regard.arguments import indices, pair, shown
from regard.axes import HEAD, KEY, STEP, TOKEN, X, Y
from regard.errors import ArgumentError, TraceError, unknown
from regard.layers import LayerQuery
from regard.trace import pick
from regard.trace.grid import resize
from regard.trace.labels import UNIT, maps_of, of_words
from regard.trace.pick import Pick
from regard.trace.prompt import Prompt
from regard.trace.words import Token


class TracedWords:
    """The questions of a `Trace` about words; see there for what each attribute is."""

    layers: dict[str, xr.DataArray]
    tokens: tuple[Token, ...]
    recipe: dict[str, Any]
    table: pd.DataFrame | None

    @property
    def _words(self) -> dict[str, xr.DataArray]:
        return {name: each for name, each in self.layers.items() if of_words(each)}

    @property
    def _kept(self) -> tuple[int, ...]:
        first = next(iter(self._words.values()), None)
        return () if first is None else tuple(int(index) for index in first[KEY].values)

    @property
    def word_maps(self) -> dict[str, xr.DataArray]:
        """The layers of `layers` whose keys are words, as maps over step, head, token, y and x.

        They are views: nothing is copied.

        Example:
            >>> from regard.trace import toy_trace
            >>> dict(toy_trace().word_maps["mid_block.attentions.0"].sizes)
            {'step': 2, 'head': 2, 'token': 8, 'y': 2, 'x': 2}
        """
        return {name: maps_of(each) for name, each in self._words.items()}

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
        same = word.casefold()
        named = [token.index for token in self.tokens if token.name.casefold() == same]
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
            duplicate_of and verdict, in prompt order; after a verification also its evidence.

        Raises:
            TraceError: no table was stored, or the trace is of an image.

        Example:
            >>> from dataclasses import replace
            >>> from regard.measures.words import word_table
            >>> from regard.trace import toy_trace
            >>> trace = toy_trace()
            >>> replace(trace, table=word_table(trace)).words()["mass"].sum().item()
            1.0
        """
        if not self._words:
            raise _no_words("Trace.words")
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
        """The heat map of a word: each patch's attention to it, 0..1.

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
            TraceError: the trace is of an image, without words; or the maps of the next token
                were not kept.
            UnknownName: there is no such word or layer.
            ArgumentError: there is no such step or head, or they were averaged.

        Example:
            >>> from regard.trace import toy_trace
            >>> toy_trace().heatmap("dog", layers="mid", grid=(1, 2)).values * 32
            array([[1., 6.]])
        """
        read = self.carriers_of if carriers else self.tokens_of
        maps = self.token_maps(
            tokens=read(word) if self._words else [],
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
        """The heat map of each token: what `heatmap` adds up, all in one go.

        Args:
            tokens: Indices of tokens; None for all that were kept.
            steps: As in `heatmap`.
            layers: As in `heatmap`.
            heads: As in `heatmap`.
            grid: As in `heatmap`.

        Returns:
            ``token``, ``y``, ``x`` in shares of a patch's attention.

        Raises:
            TraceError: the trace is of an image and has no words.
            UnknownName: there is no such layer.
            ArgumentError: there is no such step or head, or they were averaged.

        Example:
            >>> from regard.trace import toy_trace
            >>> toy_trace().token_maps(layers="mid", grid=(1, 2)).sizes["token"]
            8
        """
        maps = self.word_maps
        if not maps:
            raise _no_words("Trace.heatmap")
        wanted = list(self._kept) if tokens is None else self._checked(tokens)
        sides = pair(grid, "grid", "heatmap", cure="Leave it out for the finest grid.")
        chosen = pick.layers(maps, layers)
        finest = max((tuple(self.layers[name].attrs["grid"]) for name in chosen), key=np.prod)
        rows, columns = sides or finest
        total = np.zeros((len(wanted), rows, columns))
        for name in chosen:
            mean = _mean_maps(maps[name], name, wanted, steps=steps, heads=heads)
            total += resize(mean, (rows, columns)).transpose(TOKEN, Y, X).values
        attrs = {"units": UNIT, "grid": [rows, columns], "layers": chosen}
        return xr.DataArray(
            total / len(chosen), {TOKEN: wanted}, (TOKEN, Y, X), name="token_maps", attrs=attrs
        )

    def _checked(self, tokens: Sequence[int]) -> list[int]:
        found = indices(tokens, "tokens", "heatmap")
        if not isinstance(found, list) or not set(self._kept).issuperset(found):
            raise ArgumentError(
                f"heatmap: tokens is {shown(tokens)} and must be indices of tokens that were "
                f"kept: {', '.join(map(str, self._kept))}."
            )
        return found


def _mean_maps(
    maps: xr.DataArray, name: str, tokens: list[int], *, steps: Pick, heads: Pick
) -> xr.DataArray:
    at_step = pick.positions(maps, steps, axis=STEP, layer=name)
    at_head = pick.positions(maps, heads, axis=HEAD, layer=name)
    part = maps.sel({TOKEN: tokens}).isel({STEP: at_step, HEAD: at_head})
    # float64: thousands of small weights are added up.
    return part.mean((STEP, HEAD), dtype=np.float64)


def _no_words(verb: str) -> TraceError:
    return TraceError(
        f"{verb}: this trace has no words; it tells where the patches of an image look. "
        f"Use Trace.attention(query)."
    )
