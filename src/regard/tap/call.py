"""One evaluation of softmax attention: where and when it happened, what to read, what to change.

An observer and an edit are both a callable on an ``AttentionCall``. Edits come first and use the
verbs; observers see what the model really used, and its output.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import ArgumentError, UnsupportedEdit
from regard.tap.layout import TokenLayout
from regard.tap.weights import (
    ALL,
    Borrowed,
    Fused,
    Identity,
    PerKey,
    PerQuery,
    Replaced,
    Rows,
    Scored,
    Scores,
    Weights,
    indices,
    mixed,
)

_FUSED = "Load the model with fused attention (attn_implementation='sdpa', AttnProcessor2_0)."
BITS_PER_NAT = 1.4426950408889634


@dataclass(eq=False)
class AttentionCall:
    """One call of one attention layer.

    Attributes:
        weights: The attention weights P, in whichever way they are known.
        value: Values, [batch, head, key, width]; grouped heads (GQA) are not repeated.
        layer: Dotted path of the module.
        index: 0 for the first attention inside one forward of that module, 1 for the second.
        place: 'down', 'mid' or 'up'; None where a model has no such thing.
        layout: What every query and key is; None for a model of no known family.
        unknown: Why it is not known, where that was found out, for messages.
        model: Class name of the model, for messages.
        run: Which generation since the tap was opened, from 0.
        step: Which of the steps asked for, from 0.
        pass_: Which evaluation of the model within the step, from 0; some schedulers need two.
        timestep: The noise level as it was given to the model; None if it was given none.
        conditions: One label for each row of the batch: 'uncond' or 'cond'; None where it is not
            known which of the two a row is.
        output: What the layer computed, [batch, head, query, width]; None while edits run.
        head_factors: What ``scale_heads`` multiplies the output by; None if nothing.

    Example:
        >>> q, k, v = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
        >>> call = AttentionCall(Fused(q, k), v)
        >>> call.mask_keys([0, 1])
        >>> call.probs()[0, 0, 0]
        tensor([0.0000, 0.0000, 0.5000, 0.5000])
        >>> call.entropy()[0, 0]
        tensor([1., 1.])
    """

    weights: Weights
    value: PerKey
    layer: str = ""
    index: int = 0
    place: str | None = None
    layout: TokenLayout | None = None
    unknown: str = ""
    model: str = "the model"
    run: int = 0
    step: int = 0
    pass_: int = 0
    timestep: float | None = None
    conditions: tuple[str | None, ...] = ()
    output: PerQuery | None = None
    head_factors: Float[Tensor, "_ head 1 1"] | None = None
    edited: bool = False
    # The rows that verbs change when not told: those of the condition an edit was selected for.
    selected: slice = field(default_factory=lambda: ALL)  # slices count as mutable before 3.12

    # Where and what

    @property
    def query(self) -> Tensor:
        """Queries, [batch, head, query, width]."""
        return self.weights.query

    @property
    def key(self) -> Tensor:
        """Keys, [batch, head, key, width]; grouped heads (GQA) are not repeated."""
        return self.weights.key

    @property
    def bias(self) -> Tensor | None:
        """What is added to the scores, or a mask, True to attend; None if nothing or unknown."""
        return self.weights.bias if isinstance(self.weights, Fused) else None

    @property
    def scale(self) -> float | None:
        """Factor of q·k; None where the model computes its scores in the open."""
        return self.weights.scale if isinstance(self.weights, Fused) else None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, heads, queries, keys."""
        return self.weights.shape

    @property
    def kind(self) -> str:
        """'self', 'cross' or 'joint'.

        Raises:
            ArgumentError: the model is of no known family.
        """
        return self.known_layout("AttentionCall.kind").kind

    def known_layout(self, caller: str) -> TokenLayout:
        """The layout, or an error that says how to register one.

        Raises:
            ArgumentError: the model is of no known family.
        """
        if self.layout is None:
            why = f": {self.unknown}. Its" if self.unknown else ", so its"
            raise ArgumentError(
                f"{caller}: no token layout is known for {self.model}{why} image and text tokens "
                f"cannot be told apart. Register one with regard.tap.layout_for('{self.model}') or "
                f"pass layout= to Tap."
            )
        return self.layout

    def known_conditions(self, caller: str) -> tuple[str, ...]:
        """The label of each row, or an error that says how to tell.

        Raises:
            ArgumentError: it is not known which rows read the prompt.
        """
        if None in self.conditions:
            raise ArgumentError(
                f"{caller}: it is not known which of the {len(self.conditions)} rows that "
                f"{self.model} evaluates together read the prompt ('cond') and which the negative "
                f"prompt ('uncond'). Say so with Tap.conditions, such as ('uncond', 'cond'), or "
                f"ask for all rows: condition=None, in a method condition='both'."
            )
        return self.conditions  # type: ignore[return-value]

    @property
    def images(self) -> int:
        """How many images the batch makes: as many rows as have the label of the first.

        Raises:
            ArgumentError: it is not known which rows read the prompt.
        """
        labels = self.known_conditions("AttentionCall.images")
        return labels.count(labels[0]) if labels else self.shape[0]

    def rows_of(self, condition: str) -> slice:
        """The rows of the batch with this label; an empty slice if there are none.

        Raises:
            ArgumentError: it is not known which rows read the prompt.

        Example:
            >>> q = torch.zeros(4, 1, 2, 4)
            >>> call = AttentionCall(Fused(q, q), q, conditions=("uncond",) * 2 + ("cond",) * 2)
            >>> call.rows_of("cond")
            slice(2, 4, None)
        """
        labels = self.known_conditions("AttentionCall.rows_of")
        if condition not in labels:
            return slice(0, 0)
        start = labels.index(condition)
        return slice(start, start + labels.count(condition))

    # Reads

    def probs(self, rows: Rows = ALL, *, batch: Rows = ALL) -> Scores:
        """Attention weights, in float32; each row sums to 1 over the keys.

        Args:
            rows: Which queries.
            batch: Which rows of the batch.

        Returns:
            [batch, head, rows, key]. A row whose keys are all masked is 0.
        """
        return self._of(batch).probs(rows)

    def row_chunks(self, size: int = 64, *, batch: Rows = ALL) -> Iterator[tuple[slice, Scores]]:
        """Attention weights, a few complete rows at a time, for what is not linear in them.

        Args:
            size: Number of queries in a chunk.
            batch: Which rows of the batch.

        Yields:
            The queries as a slice, and their weights, [batch, head, size, key].
        """
        return self._of(batch).chunks(size)

    def apply(self, values: Tensor, *, batch: Rows = ALL) -> PerQuery:
        """Attention times values of your own, by the fused kernel: no map is made.

        Args:
            values: [key, column], or anything that broadcasts to [batch, head, key, column].
            batch: Which rows of the batch.

        Returns:
            [batch, head, query, column], in the model's dtype.
        """
        return self._of(batch).apply(as_4d(values))

    def columns(self, keys: Sequence[int], *, batch: Rows = ALL) -> PerQuery:
        """Attention weights of some keys, as maps of tokens need them; differentiable.

        Args:
            keys: Indices on the key axis.
            batch: Which rows of the batch.

        Returns:
            [batch, head, query, len(keys)].

        Raises:
            ArgumentError: an index is no key.
        """
        return self._of(batch).columns(self._checked(keys, "columns"))

    def mass(self, segment: str, *, batch: Rows = ALL) -> Float[Tensor, "batch head query"]:
        """The share of each query's attention that goes to a segment of the keys: 0 none, 1 all.

        Args:
            segment: Name of a key segment, such as "text".
            batch: Which rows of the batch.

        Returns:
            [batch, head, query].

        Raises:
            ArgumentError: the model is of no known family.
            UnknownName: the keys have no such segment.
        """
        where = self.known_layout("AttentionCall.mass").keys_of(segment)
        inside = torch.zeros(self.shape[-1], 1, device=self.query.device)
        inside[where.slice] = 1.0
        return self.apply(inside, batch=batch)[..., 0]

    def column_sums(self, weights: Tensor | None = None, *, batch: Rows = ALL) -> PerKey:
        """Attention that each key receives, summed over queries; not differentiable.

        Args:
            weights: What each query counts, [query, column] or anything that broadcasts to [batch,
                head, query, column]; ones if left out.
            batch: Which rows of the batch.

        Returns:
            [batch, head, key, column].
        """
        if weights is None:
            weights = torch.ones(self.shape[2], 1, device=self.query.device)
        return self._of(batch).column_sums(as_4d(weights))

    def logsumexp(self, *, batch: Rows = ALL) -> Float[Tensor, "batch head query"]:
        """Natural logarithm of the softmax's denominator, one number a query.

        Raises:
            UnsupportedEdit: an edit has replaced the map, so that there are no scores.
        """
        return self._of(batch).logsumexp()

    def entropy(self, *, batch: Rows = ALL) -> Float[Tensor, "batch head query"]:
        """Shannon entropy of each query's weights in bits: 0 on one key, log2(n) over n keys.

        Source:
            Shannon (1948), "A Mathematical Theory of Communication", section 6.
        """
        return self._of(batch).entropy() * BITS_PER_NAT

    # Verbs

    def mask_keys(self, keys: Sequence[int], *, batch: Rows | None = None) -> None:
        """Hide keys; the other weights of a row grow so that it still sums to 1.

        Args:
            keys: Indices on the key axis.
            batch: Which rows of the batch; all if left out, or those of the condition that the
                edit was selected for. The same holds for every verb.

        Raises:
            ArgumentError: an index is no key.
            UnsupportedEdit: the call is over, or an edit has replaced the map.
        """
        self._bias_keys(self._checked(keys, "mask_keys"), -torch.inf, batch)

    def scale_keys(
        self,
        keys: Sequence[int],
        factor: float,
        *,
        renormalise: bool = False,
        batch: Rows | None = None,
    ) -> None:
        """Multiply the attention paid to some keys.

        Args:
            keys: Indices on the key axis.
            factor: 1.0 changes nothing.
            renormalise: Whether rows shall sum to 1 again. If not, it is the keys' values that are
                multiplied, which comes to the same output; ``probs`` then stays as it was.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: an index is no key, the factor is not finite or past what the model's
                numbers hold, or it is negative and rows are to sum to 1.
            UnsupportedEdit: the call is over, or an edit has replaced the map.

        Source:
            Hertz et al. (2022), "Prompt-to-Prompt Image Editing with Cross Attention Control",
            section 3.3 (attention re-weighting, not renormalised).
        """
        keys = self._checked(keys, "scale_keys")
        if not math.isfinite(factor):
            raise ArgumentError(f"scale_keys: factor is {factor} and must be a finite number.")
        if renormalise:
            if factor < 0:
                raise ArgumentError(
                    f"scale_keys: factor is {factor} and must be >= 0 with renormalise=True."
                )
            self._bias_keys(keys, math.log(factor) if factor else -math.inf, batch)
            return
        _check_holds("scale_keys", factor, self.value.dtype)
        self._start("scale_keys")
        self.value = self.value.clone()
        for row in self._slices(batch):
            for key in keys:
                self.value[row, ..., key, :].mul_(factor)

    def temperature(self, factor: float, *, batch: Rows | None = None) -> None:
        """Divide the scores: above 1 attention spreads, below 1 it sharpens.

        Args:
            factor: 1.0 changes nothing. A mask or position bias is divided too only in layers that
                compute their scores in the open, where it cannot be told from q·k.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: the factor is not positive and finite.
            UnsupportedEdit: the call is over, or an edit has replaced the map.
        """
        if not 0 < factor < math.inf:
            raise ArgumentError(
                f"temperature: factor is {factor} and must be > 0 and finite. 1.0 changes nothing."
            )
        self._start("temperature")
        factors = self._neutral((1, 1, 1), 1.0, batch)
        for row in self._slices(batch):
            factors[row] = factor
        self.weights = self.weights.tempered(factors)

    def scale_heads(self, factors: Mapping[int, float], *, batch: Rows | None = None) -> None:
        """Multiply the output of heads, before the layer's output projection: 0.0 silences a head.

        Args:
            factors: What to multiply each head by; heads left out stay as they are.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: there is no such head, or a factor is past what the model's numbers hold.
            UnsupportedEdit: the call is over.
        """
        wrong = [head for head in factors if not 0 <= head < self.shape[1]]
        if wrong:
            raise ArgumentError(
                f"scale_heads: {self.layer} has heads 0..{self.shape[1] - 1}, not {wrong[0]}."
            )
        self._start("scale_heads")
        for factor in factors.values():
            _check_holds("scale_heads", factor, self.value.dtype)
        each = [factors.get(head, 1.0) for head in range(self.shape[1])]
        per_head = torch.tensor(each, dtype=torch.float32, device=self.query.device)
        scale = self._spread(per_head[:, None, None], 1.0, batch)
        self.head_factors = scale if self.head_factors is None else self.head_factors * scale

    def add_bias(self, bias: Tensor, *, batch: Rows | None = None) -> None:
        """Add to the scores before the softmax.

        Args:
            bias: Broadcasts to [batch, head, query, key]; -inf hides a key from a query.
            batch: As for ``mask_keys``.

        Raises:
            UnsupportedEdit: the call is over, or an edit has replaced the map.
        """
        self._start("add_bias")
        self.weights = self.weights.biased(self._spread(bias, 0.0, batch))

    def set_kv(self, key: Tensor, value: Tensor, *, bias: Tensor | None = None) -> None:
        """Attend to other keys and values: those of another image of the batch, or filtered ones.

        Args:
            key: [batch, head, key, width]; there may be more or fewer keys than before.
            value: [batch, head, key, width].
            bias: The mask for the new keys, as ``add_bias`` takes it or boolean. Needed if the
                number of keys changes and the layer has a mask.

        Raises:
            UnsupportedEdit: the layer computes its scores in the open, its mask does not fit the
                new keys, the call is over, or an edit has replaced the map.
        """
        self._start("set_kv")
        if not isinstance(self.weights, Fused):
            raise UnsupportedEdit(
                f"set_kv: {self.layer} computes its scores in the open, so its keys cannot be "
                f"exchanged any more. {_FUSED}"
            )
        old = self.weights
        masked = old.causal or (old.bias is not None and old.bias.shape[-1] != 1)
        if bias is None and masked and key.shape[-2] != self.shape[-1]:
            raise UnsupportedEdit(
                f"set_kv: {self.layer} has a mask for {self.shape[-1]} keys and gets "
                f"{key.shape[-2]}. Pass bias= for the new keys."
            )
        if bias is not None:
            bias = as_4d(bias)
        keeps = bias is None
        self.weights = Fused(
            old.query, key, old.bias if keeps else bias, old.scale, old.causal and keeps
        )
        self.value = value

    def map_keys(self, change: Callable[[Tensor], Tensor], *, batch: Rows | None = None) -> None:
        """Let the scores follow from other keys, as many as before; values and mask stay.

        Args:
            change: Gets the keys, [batch, head, key, width], and returns others of that shape.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: what ``change`` returned has another shape.
            UnsupportedEdit: the layer computes its scores in the open, the call is over, or an edit
                has replaced the map.
        """
        own, rows = self._decided_by("map_keys", "keys", batch)
        changed = change(own.key)
        _check_shape("map_keys", "keys", changed, own.key)
        self._put(replace(own, key=changed), rows)

    def map_queries(
        self,
        change: Callable[[Tensor], Tensor],
        *,
        rows: Rows = ALL,
        batch: Rows | None = None,
    ) -> None:
        """Let the scores follow from other queries; keys, values and mask stay.

        Args:
            change: Gets the queries, [batch, head, rows, width], and returns others of that shape.
            rows: Which queries; those that are not asked for stay as they are.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: what ``change`` returned has another shape.
            UnsupportedEdit: the layer computes its scores in the open, the call is over, or an edit
                has replaced the map.
        """
        own, images = self._decided_by("map_queries", "queries", batch)
        asked = own.query[..., rows, :]
        changed = change(asked)
        _check_shape("map_queries", "queries", changed, asked)
        query = own.query.clone()
        query[..., rows, :] = changed
        self._put(replace(own, query=query), images)

    def map_probs(self, change: Callable[[Scores], Scores], *, batch: Rows | None = None) -> None:
        """Replace the attention map; the only verb that makes one, queries x keys for each head.

        Args:
            change: Gets the weights, [batch, head, query, key], and returns new ones of that shape.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: what ``change`` returned has another shape.
            UnsupportedEdit: the call is over.
        """
        self._start("map_probs")
        rows = self._rows(batch)
        own = self._of(rows)
        probs = own.probs()
        changed = change(probs)
        if changed.shape != probs.shape:
            raise ArgumentError(
                f"map_probs: the new map has shape {tuple(changed.shape)} and must have "
                f"{tuple(probs.shape)}: batch, head, query, key."
            )
        self._put(Replaced(own.query, own.key, changed), rows)

    def identity(self, *, batch: Rows | None = None) -> None:
        """Let each query attend to the key of its own place alone; no map is made.

        Where image queries have both image and text keys, each patch attends to itself among the
        patches and to the text as before; what text asks stays. That takes a mask, one number for
        each query and key.

        Args:
            batch: As for ``mask_keys``.

        Raises:
            UnsupportedEdit: there are not as many queries as keys, or the call is over; in joint
                attention, also if an edit has replaced the map.

        Source:
            Ahn et al. (2024), "Self-Rectifying Diffusion Sampling with Perturbed-Attention
            Guidance", arXiv 2403.17377, equation 14.
        """
        self._start("identity")
        if self.layout is not None and self.layout.kind == "joint":
            self.add_bias(self._own_patches(self.layout), batch=batch)
            return
        _, _, queries, keys = self.shape
        if queries != keys:
            raise UnsupportedEdit(
                f"identity: {self.layer} has {queries} queries and {keys} keys, so that a query "
                f"has no key of its own. Choose self-attention: Select(kind='self')."
            )
        rows = self._rows(batch)
        own = self._of(rows)
        self._put(Identity(own.query, own.key), rows)

    def borrow(
        self,
        lender: int,
        *,
        mapper: Tensor | None = None,
        share: Tensor | None = None,
        batch: Rows | None = None,
    ) -> None:
        """Attend as another row of the batch does, to one's own values.

        Args:
            lender: The row of the batch whose weights, as they are now, are taken.
            mapper: [key of the lender, key], how much of the attention to the one the other gets;
                None gives each key that of its own place.
            share: [key], what counts beside it of the weights that there were; None for nothing.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: there is no such row, or a tensor has another shape.
            UnsupportedEdit: the call is over.

        Source:
            Hertz et al. (2022), "Prompt-to-Prompt Image Editing with Cross Attention Control",
            arXiv 2208.01626, section 3. No map is made: both weights meet values of their own.
        """
        self._start("borrow")
        count, keys = self.shape[0], self.shape[-1]
        if not 0 <= lender < count:
            raise ArgumentError(f"borrow: the batch has rows 0..{count - 1}, not {lender}.")
        rows = self._rows(batch)
        chosen = indices(rows, count)
        if mapper is None and share is None:
            self.weights = self._of([lender if row in chosen else row for row in range(count)])
            return
        device = self.query.device
        mapper = torch.eye(keys) if mapper is None else mapper
        share = torch.zeros(keys) if share is None else share
        if mapper.shape != (keys, keys) or share.shape != (keys,):
            raise ArgumentError(
                f"borrow: mapper and share have shapes {tuple(mapper.shape)} and "
                f"{tuple(share.shape)}, and {self.layer} with {keys} keys needs ({keys}, {keys}) "
                f"and ({keys},)."
            )
        own, lent = self._of(rows), self._of([lender] * len(chosen))
        taken = (mapper.float().to(device), share.float().to(device))
        self._put(Borrowed(own.query, own.key, lent, own, *taken), rows)

    # Inside

    def _own_patches(self, layout: TokenLayout) -> Tensor:
        """A bias that hides all other patches from each patch."""
        asking, asked = layout.queries_of("image"), layout.keys_of("image")
        others = self.query.new_full((len(asking), len(asked)), -torch.inf).fill_diagonal_(0.0)
        bias = self.query.new_zeros(self.shape[2:])
        bias[asking.slice, asked.slice] = others
        return bias

    def _of(self, batch: Rows) -> Weights:
        return self.weights if batch == ALL else self.weights.of(batch)

    def _put(self, weights: Weights, rows: Rows) -> None:
        """Take other weights for these rows of the batch."""
        chosen = tuple(indices(rows, self.shape[0]))
        if len(chosen) == self.shape[0]:
            self.weights = weights
        elif chosen:
            self.weights = mixed(self.weights, weights, chosen)

    def _decided_by(self, verb: str, what: str, batch: Rows | None) -> tuple[Fused, Rows]:
        """The weights of these rows of the batch, if they follow from queries and keys."""
        self._start(verb)
        rows = self._rows(batch)
        own = self._of(rows)
        if not isinstance(own, Fused):
            raise UnsupportedEdit(
                f"{verb}: {self.layer} computes its scores in the open, or an edit has replaced "
                f"its map, so its {what} decide nothing any more. {_FUSED} List this edit first."
            )
        return own, rows

    def _start(self, verb: str) -> None:
        if self.output is not None:
            raise UnsupportedEdit(
                f"{verb}: {self.layer} has been evaluated already. Pass the function to "
                f"Tap(edit=[...]), not observe=[...]."
            )
        self.edited = True

    def _rows(self, batch: Rows | None) -> Rows:
        return self.selected if batch is None else batch

    def _slices(self, batch: Rows | None) -> list[slice]:
        """The same rows of the batch, in slices."""
        rows = self._rows(batch)
        return [rows] if isinstance(rows, slice) else [slice(row, row + 1 or None) for row in rows]

    def _neutral(self, shape: tuple[int, ...], value: float, batch: Rows | None) -> Tensor:
        """One value in all rows of the batch; a single row if all are chosen."""
        count = 1 if self._rows(batch) == ALL else self.shape[0]
        return torch.full((count, *shape), value, device=self.query.device)

    def _spread(self, tensor: Tensor, neutral: float, batch: Rows | None) -> Tensor:
        """The tensor in the chosen rows of the batch, ``neutral`` in the others."""
        tensor, rows = as_4d(tensor), self._rows(batch)
        if rows == ALL:
            return tensor
        spread = tensor.new_full((self.shape[0], *tensor.shape[1:]), neutral)
        spread[rows] = tensor
        return spread

    def _checked(self, keys: Sequence[int], verb: str) -> list[int]:
        count = self.key.shape[-2]
        wrong = [key for key in keys if not 0 <= key < count]
        if wrong:
            raise ArgumentError(f"{verb}: {self.layer} has keys 0..{count - 1}, not {wrong[0]}.")
        return list(keys)

    def _bias_keys(self, keys: list[int], amount: float, batch: Rows | None) -> None:
        self._start("add_bias")
        bias = self._neutral((1, 1, self.shape[-1]), 0.0, batch)
        hidden = torch.tensor(keys, dtype=torch.long, device=bias.device)
        for row in self._slices(batch):
            bias[row].index_fill_(-1, hidden, amount)
        self.weights = self.weights.biased(bias)


def _check_holds(verb: str, factor: float, dtype: torch.dtype) -> None:
    """Refuse a factor that would be infinite in the model's numbers."""
    most = torch.finfo(dtype).max
    if abs(factor) > most:
        raise ArgumentError(
            f"{verb}: the factor is {factor:g}, and {str(dtype).removeprefix('torch.')} holds "
            f"numbers up to {most:g}. Use a smaller one, or a model with larger numbers."
        )


def _check_shape(verb: str, what: str, changed: Tensor, before: Tensor) -> None:
    if changed.shape != before.shape:
        raise ArgumentError(
            f"{verb}: the new {what} have shape {tuple(changed.shape)} and must have "
            f"{tuple(before.shape)}: batch, head, {'key' if what == 'keys' else 'query'}, width."
        )


def as_4d(tensor: Tensor) -> Tensor:
    """Leading axes of length 1, so that there are four: batch, head, query or key, and columns.

    Example:
        >>> as_4d(torch.zeros(3, 2)).shape
        torch.Size([1, 1, 3, 2])
    """
    return tensor.reshape((1,) * (4 - tensor.ndim) + tensor.shape)


Edit = Callable[[AttentionCall], None]
Observer = Callable[[AttentionCall], None]

__all__ = ["AttentionCall", "Edit", "Fused", "Observer", "Replaced", "Scored"]
