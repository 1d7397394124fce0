"""One attention call: where and when it happens, and what to read; `verbs` has what to change.

An observer and an edit are both a callable on an ``AttentionCall``. Edits come first and use the
verbs; observers see what the model really used, and its output.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import ArgumentError
from regard.tap.layout import TokenLayout
from regard.tap.verbs import ReplacingVerbs, ScalingVerbs
from regard.tap.weights import ALL, Fused, PerKey, PerQuery, Rows, Scores, Weights, as_4d

BITS_PER_NAT = 1.4426950408889634


@dataclass(eq=False)
class AttentionCall(ScalingVerbs, ReplacingVerbs):
    """One call of one attention layer.

    Attributes:
        weights: The attention weights P; see `regard.tap.weights` for how they may be known.
        value: Values, [batch, head, key, width]; grouped heads (GQA) are not repeated.
        layer: Dotted path of the module.
        index: 0 for the first attention inside one forward of that module, 1 for the second.
        stage: UNet stage, 'down', 'mid' or 'up'; None where a model has none.
        layout: What every query and key is; None for a model of no known family.
        unknown: Why the layout is not known, if a reason was found; for messages.
        model: Class name of the model, for messages.
        run: Which generation since the tap was opened, from 0.
        step: The denoising step, from 0.
        pass_: Which forward pass of the model within the step, from 0; some schedulers need two.
        timestep: The timestep that the model was given; None if it was given none.
        conditions: The guidance branch of each row of the batch: 'uncond' or 'cond'; None where
            that is not known.
        output: What the layer computed, [batch, head, query, width]; None while edits run.
        head_factors: What ``scale_heads`` multiplies the output by; None if nothing.
        output_changes: What ``map_output`` changes the output by, after that.

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
    stage: str | None = None
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
    output_changes: tuple[Callable[[Tensor], Tensor], ...] = ()
    edited: bool = False
    # The rows that verbs change by default: those of the condition an edit was selected for.
    selected: slice = field(default_factory=lambda: ALL)  # slices count as mutable before 3.12

    # Where and what

    @property
    def bias(self) -> Tensor | None:
        """What is added to the scores, or a mask, True to attend; None if nothing or unknown."""
        return self.weights.bias if isinstance(self.weights, Fused) else None

    @property
    def scale(self) -> float | None:
        """Factor of q·k; None where the model computes its softmax explicitly."""
        return self.weights.scale if isinstance(self.weights, Fused) else None

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
                f"cannot be separated. Register one with regard.tap.layout_for('{self.model}') or "
                f"pass layout= to Tap."
            )
        return self.layout

    def known_conditions(self, caller: str) -> tuple[str, ...]:
        """The label of each row, or an error that says how to set it.

        Raises:
            ArgumentError: it is not known which rows are conditional.
        """
        if None in self.conditions:
            raise ArgumentError(
                f"{caller}: it is not known which of the {len(self.conditions)} rows that "
                f"{self.model} evaluates together read the prompt ('cond') and which the negative "
                f"prompt ('uncond'). Set Tap.conditions, such as ('uncond', 'cond'), or choose "
                f"all rows: condition=None, in a method condition='both'."
            )
        return self.conditions  # type: ignore[return-value]

    @property
    def images(self) -> int:
        """How many images the batch holds: as many rows as have the label of the first.

        Raises:
            ArgumentError: it is not known which rows are conditional.
        """
        labels = self.known_conditions("AttentionCall.images")
        return labels.count(labels[0]) if labels else self.shape[0]

    def rows_of(self, condition: str) -> slice:
        """The rows of the batch with this label; an empty slice if there are none.

        Raises:
            ArgumentError: it is not known which rows are conditional.

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
        """Attention weights, a few complete rows at a time, for statistics that are not linear.

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
            UnsupportedEdit: an edit has replaced the map, so there are no scores.
        """
        return self._of(batch).logsumexp()

    def entropy(self, *, batch: Rows = ALL) -> Float[Tensor, "batch head query"]:
        """Shannon entropy of each query's weights in bits: 0 on one key, log2(n) over n keys.

        Source:
            Shannon (1948), "A Mathematical Theory of Communication", section 6.
        """
        return self._of(batch).entropy() * BITS_PER_NAT


Edit = Callable[[AttentionCall], None]
Observer = Callable[[AttentionCall], None]

__all__ = ["AttentionCall", "Edit", "Fused", "Observer"]
