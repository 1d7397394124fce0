"""Verbs that exchange: keys and values, queries, maps, or the attention of another row."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from regard.errors import ArgumentError, UnsupportedEdit
from regard.tap.layout import TokenLayout
from regard.tap.segment import Segment
from regard.tap.verbs.base import Editable
from regard.tap.weights import (
    ALL,
    Fused,
    Identity,
    Injected,
    Lent,
    Replaced,
    Rows,
    Scores,
    as_4d,
    extended,
    indices,
)

_FUSED = "Load the model with fused attention (attn_implementation='sdpa', AttnProcessor2_0)."


class ReplacingVerbs(Editable):
    """Exchange what attention is computed from, or what it is."""

    def set_kv(self, key: Tensor, value: Tensor, *, bias: Tensor | None = None) -> None:
        """Attend to other keys and values, such as those of another image of the batch.

        Args:
            key: [batch, head, key, width]; there may be more or fewer keys than before.
            value: [batch, head, key, width].
            bias: The mask for the new keys, as ``add_bias`` takes it or boolean. Needed if the
                number of keys changes and the layer has a mask.

        Raises:
            UnsupportedEdit: the layer uses eager attention, its mask does not fit the new keys, the
                call is over, or an edit has replaced the map.
        """
        self._start("set_kv")
        if not isinstance(self.weights, Fused):
            raise UnsupportedEdit(
                f"set_kv: {self.layer} uses eager (explicit) softmax attention, or an edit has "
                f"replaced its map, so its keys and values cannot be replaced. {_FUSED}"
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

    def extend_kv(self, lent: Sequence[Lent | None]) -> None:
        """Let rows of the batch attend to further keys and values, beside their own.

        The keys get a further segment, ``lent``, after a layer's own. No row's keys are copied but
        while that row is computed.

        Args:
            lent: One for each row of the batch, None for a row that attends to its own alone; all
                with as many keys. Rows may have the same one.

        Raises:
            ArgumentError: there is not one for each row, or they differ in how many keys they have.
            UnsupportedEdit: the layer uses eager attention or a causal mask, the call is over, or
                an edit has replaced the map.

        Source:
            Tewel et al. (2024), "Training-Free Consistent Text-to-Image Generation", arXiv
            2402.03286, equations 2 and 3.
        """
        self._start("extend_kv")
        lengths = {len(each) for each in lent if each is not None}
        if len(lent) != self.shape[0] or len(lengths) > 1:
            raise ArgumentError(
                f"extend_kv: there are {len(lent)} lent keys, of {sorted(lengths)} tokens, and "
                f"{self.layer} needs one or None for each of its {self.shape[0]} rows, all alike."
            )
        number = sum(lengths)
        if not number:
            return
        before = self.shape[-1]
        self.weights = extended(self.weights, tuple(lent))
        if self.layout is not None:
            added = Segment("lent", before, before + number)
            self.layout = replace(self.layout, keys=(*self.layout.keys, added))

    def map_output(self, change: Callable[[Tensor], Tensor]) -> None:
        """Change what the layer computes, before its output projection.

        Args:
            change: Gets the output of the whole batch, [batch, head, query, width], and returns
                another of that shape. Several are applied in their order.

        Raises:
            UnsupportedEdit: the call is over.
        """
        self._start("map_output")
        self.output_changes = (*self.output_changes, change)

    def map_keys(self, change: Callable[[Tensor], Tensor], *, batch: Rows | None = None) -> None:
        """Compute the scores from other keys, as many as before; values and mask stay.

        Args:
            change: Gets the keys, [batch, head, key, width], and returns others of that shape.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: what ``change`` returned has another shape.
            UnsupportedEdit: the layer uses eager attention, the call is over, or an edit has
                replaced the map.
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
        """Compute the scores from other queries; keys, values and mask stay.

        Args:
            change: Gets the queries, [batch, head, rows, width], and returns others of that shape.
            rows: Which queries; the others stay as they are.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: what ``change`` returned has another shape.
            UnsupportedEdit: the layer uses eager attention, the call is over, or an edit has
                replaced the map.
        """
        own, images = self._decided_by("map_queries", "queries", batch)
        before = own.query[..., rows, :]
        changed = change(before)
        _check_shape("map_queries", "queries", changed, before)
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
        """Let each query attend to the key of the same index alone; no map is made.

        In joint attention each patch attends to itself among the patches and to the text as before;
        text queries stay as they are. That takes a mask, one number for each query and key.

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

    def inject_from(
        self,
        source: int,
        *,
        mapper: Tensor | None = None,
        share: Tensor | None = None,
        batch: Rows | None = None,
    ) -> None:
        """Inject the attention of another row of the batch; values stay.

        Args:
            source: The row of the batch whose weights, as they are now, are injected.
            mapper: [key of the source, key], how much of the attention to the one the other gets;
                None maps each key to itself.
            share: [key], how much of the previous weights is added; None for nothing.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: there is no such row, or a tensor has another shape.
            UnsupportedEdit: the call is over.

        Source:
            Hertz et al. (2022), "Prompt-to-Prompt Image Editing with Cross Attention Control",
            arXiv 2208.01626, section 3. No map is made.
        """
        self._start("inject_from")
        count, keys = self.shape[0], self.shape[-1]
        if not 0 <= source < count:
            raise ArgumentError(f"inject_from: the batch has rows 0..{count - 1}, not {source}.")
        rows = self._rows(batch)
        chosen = indices(rows, count)
        if mapper is None and share is None:
            self.weights = self._of([source if row in chosen else row for row in range(count)])
            return
        device = self.query.device
        mapper = torch.eye(keys) if mapper is None else mapper
        share = torch.zeros(keys) if share is None else share
        if mapper.shape != (keys, keys) or share.shape != (keys,):
            raise ArgumentError(
                f"inject_from: mapper and share have shapes {tuple(mapper.shape)} and "
                f"{tuple(share.shape)}, and {self.layer} with {keys} keys needs ({keys}, {keys}) "
                f"and ({keys},)."
            )
        own, injected = self._of(rows), self._of([source] * len(chosen))
        taken = (mapper.float().to(device), share.float().to(device))
        self._put(Injected(own.query, own.key, injected, own, *taken), rows)

    def _decided_by(self, verb: str, what: str, batch: Rows | None) -> tuple[Fused, Rows]:
        """The weights of these rows of the batch, if they follow from queries and keys."""
        self._start(verb)
        rows = self._rows(batch)
        own = self._of(rows)
        if not isinstance(own, Fused):
            raise UnsupportedEdit(
                f"{verb}: {self.layer} uses eager (explicit) softmax attention, or an edit has "
                f"replaced its map, so other {what} would change nothing. {_FUSED} List this edit "
                f"first."
            )
        return own, rows

    def _own_patches(self, layout: TokenLayout) -> Tensor:
        """A bias that masks all other patches for each patch."""
        queries, keys = layout.queries_of("image"), layout.keys_of("image")
        others = self.query.new_full((len(queries), len(keys)), -torch.inf).fill_diagonal_(0.0)
        bias = self.query.new_zeros(self.shape[2:])
        bias[queries.slice, keys.slice] = others
        return bias


def _check_shape(verb: str, what: str, changed: Tensor, before: Tensor) -> None:
    if changed.shape != before.shape:
        raise ArgumentError(
            f"{verb}: the new {what} have shape {tuple(changed.shape)} and must have "
            f"{tuple(before.shape)}: batch, head, {'key' if what == 'keys' else 'query'}, width."
        )
