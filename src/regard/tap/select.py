"""Which attention calls an observer or an edit is for."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from regard.arguments import listed, one_of, shown, whole, whole_or_none
from regard.errors import ArgumentError
from regard.layers import KINDS as TRAITS
from regard.layers import STAGES, LayerInfo, LayerQuery, names_among, traits_of
from regard.tap.call import AttentionCall
from regard.tap.matching import as_parts, can_be, is_meant, known_parts, no_such_layer

KINDS = ("self", "cross", "joint")

READS = {"text": ("", "cross", "joint"), "image": ("", "self", "joint")}
"""The kinds of layers that can have such keys; the empty one is not known yet."""


@dataclass(frozen=True)
class Select:
    """Chooses calls; omitted criteria match every call.

    Attributes:
        kind: 'self', 'cross' or 'joint'.
        layers: A path or whole names in it, a stage, a kind, a grid such as '16x16', a number in
            running order (-1 is the last), or several of which one must match; or a function of
            the path. Numbers count the layers that the rest of this choice leaves.
        stage: UNet stage: 'down', 'mid' or 'up'.
        query: What some queries are, such as 'image'; see `TokenLayout`.
        key: What some keys are, such as 'text'.
        steps: Which denoising steps: an int, or anything that supports ``step in steps``. All
            forward passes of a step are meant.
        condition: 'uncond' or 'cond': calls that have such rows. An edit then changes only them.
        sample: Which image of the batch: calls that have it. An edit then changes only its rows.
        when: Any other criterion: a function of the call.

    Raises:
        ArgumentError: there is no such kind or stage, or an argument is of a type that means
            nothing here.

    Example:
        >>> early = Select(kind="cross", steps=range(10), condition="cond")
        >>> Select(kind="X")
        Traceback (most recent call last):
            ...
        regard.errors.ArgumentError: Select: kind is 'X' and must be one of self, cross, joint.
    """

    kind: str | None = None
    layers: LayerQuery | Callable[[str], bool] | tuple[Any, ...] = None
    stage: str | None = None
    query: str | None = None
    key: str | None = None
    steps: int | Container[int] | None = None
    condition: str | None = None
    sample: int | None = None
    when: Callable[[AttentionCall], bool] | None = None

    def __post_init__(self) -> None:
        for what, value, known in (("kind", self.kind, KINDS), ("stage", self.stage, STAGES)):
            if value is not None:
                one_of(value, what, "Select", known)
        object.__setattr__(self, "steps", _checked_steps(self.steps))
        if self.sample is not None:
            object.__setattr__(self, "sample", whole(self.sample, "sample", "Select", least=0))
        for what, text in (("query", self.query), ("key", self.key), ("condition", self.condition)):
            if text is not None and not isinstance(text, str):
                raise ArgumentError(f"Select: {what} is {shown(text)} and must be a text, or None.")
        if self.when is not None and not callable(self.when):
            raise ArgumentError(
                f"Select: when is {shown(self.when)} and must be a function of an AttentionCall."
            )
        if self.layers is not None and not callable(self.layers):
            object.__setattr__(self, "layers", as_parts(self.layers))

    def __call__(self, call: AttentionCall) -> bool:
        """Whether this call is chosen.

        Raises:
            ArgumentError: the choice depends on tokens and the model is of no known family, or on
                a condition and it is not known which rows are conditional.
        """
        return (
            self.has_step(call.step)
            and self.has_layer(call)
            and (self.condition is None or self.condition in call.known_conditions("Select"))
            and (self.sample is None or self.sample < call.images)
            and (self.when is None or self.when(call))
        )

    def rows(self, call: AttentionCall) -> slice:
        """The rows of the batch that verbs change: those of condition and sample, or all.

        Example:
            >>> import torch
            >>> from regard.tap.weights import Fused
            >>> q, labels = torch.zeros(4, 1, 2, 4), ("uncond",) * 2 + ("cond",) * 2
            >>> call = AttentionCall(Fused(q, q), q, conditions=labels)
            >>> Select(sample=1).rows(call), Select(condition="cond", sample=1).rows(call)
            (slice(1, None, 2), slice(3, 4, None))
        """
        if self.condition is None:
            return slice(None) if self.sample is None else slice(self.sample, None, call.images)
        rows = call.rows_of(self.condition)
        if self.sample is None or rows.start == rows.stop:
            return rows
        return slice(rows.start + self.sample, rows.start + self.sample + 1)

    def has_step(self, step: int) -> bool:
        """Whether calls of a step are chosen, as far as its number decides.

        Example:
            >>> Select(steps=range(10)).has_step(10), Select().has_step(10)
            (False, True)
        """
        if self.steps is None:
            return True
        return step == self.steps if isinstance(self.steps, int) else step in self.steps

    def has_layer(self, call: AttentionCall) -> bool:
        """Whether calls like this are chosen in some step: by their layer, its stage and tokens.

        Raises:
            ArgumentError: the choice depends on tokens, and the model is of no known family.
        """
        return (
            (self.stage is None or call.stage == self.stage)
            and self._has_path(call)
            and (self.kind is None or call.kind == self.kind)
            and ((self.query is None and self.key is None) or self._has_tokens(call))
        )

    def _has_tokens(self, call: AttentionCall) -> bool:
        return call.known_layout("Select").has(query=self.query, key=self.key)

    def among(self, layers: Sequence[LayerInfo], caller: str = "Select") -> "Select":
        """The same choice where it is known which layers there are, so that numbers can count.

        Args:
            layers: Those of the model, in running order.
            caller: The name of the calling function, for messages.

        Raises:
            ArgumentError: there is no layer with such a number.

        Example:
            >>> there = [LayerInfo("mid.attn1", "self"), LayerInfo("mid.attn2", "cross")]
            >>> Select(key="text", layers=0).among(there).layers
            (LayerPart(text='mid.attn2', whole=True),)
        """
        if self.layers is None or callable(self.layers):
            return self
        left = self.left_of(layers)
        parts = [each for part in self.layers for each in known_parts(part, layers, left, caller)]
        return replace(self, layers=tuple(dict.fromkeys(parts)))

    def left_of(self, layers: Sequence[LayerInfo]) -> list[LayerInfo]:
        """The layers that the rest of this choice leaves, as far as is known of them."""
        kinds = set(TRAITS) | {""} if self.kind is None else {"", self.kind}
        kinds &= set(READS.get(self.key or "", kinds))
        stage = self.stage
        return [each for each in layers if each.kind in kinds and stage in (None, each.stage)]

    def check_among(self, layers: Sequence[LayerInfo], caller: str) -> None:
        """Refuse layers that are not there, or of which none can be meant.

        Args:
            layers: Those of the model, in running order.
            caller: The name of the calling function, for messages.

        Raises:
            UnknownName: no layer is called so.
            ArgumentError: there is no layer with such a number, or none of those called so can
                have what the rest of this choice asks for.
        """
        if self.layers is None or callable(self.layers):
            return
        left = self.left_of(layers)
        for part in self.layers:
            if not isinstance(part, str) or names_among(left, part):
                known_parts(part, layers, left, caller)
            elif names_among(layers, part):
                raise ArgumentError(
                    f"{caller}: '{part}' is in the path of {len(names_among(layers, part))} "
                    f"layers, none of which is one where this could change something. Those are: "
                    f"{', '.join(each.path for each in left) or 'none'}."
                )
            elif not can_be(part, left):
                raise no_such_layer(part, layers, f"{caller}: {traits_of(left)}")

    def check_named(self, layers: Sequence[LayerInfo], modules: Sequence[LayerInfo]) -> None:
        """Refuse names that no layer of a model can have, rather than choose nothing in silence.

        Args:
            layers: The layers of the model that say they are attention.
            modules: All its modules that may turn out to be a layer.

        Raises:
            UnknownName: no module is called so, and it is no stage of the model, kind or grid.

        Example:
            >>> there = [LayerInfo("mid.attn1"), LayerInfo("mid.attn2")]
            >>> Select(layers="attn3").check_named(there, there)
            Traceback (most recent call last):
                ...
            regard.errors.UnknownName: no layer is named 'attn3'. Known: mid.attn1, mid.attn2. ...
        """
        if self.layers is None or callable(self.layers):
            return
        for part in self.layers:
            named = not isinstance(part, str) or names_among(modules, part)
            if not named and part not in TRAITS and not can_be(part, layers):
                raise no_such_layer(part, layers, f"Select: {traits_of(layers)}")

    def _has_path(self, call: AttentionCall) -> bool:
        if self.layers is None:
            return True
        if callable(self.layers):
            return bool(self.layers(call.layer))
        return any(is_meant(call, part) for part in self.layers)


def _checked_steps(steps: Any) -> Any:
    """Steps that support ``step in steps``; a single one as a number."""
    one = whole_or_none(steps)
    if one is not None or steps is None or isinstance(steps, range):
        return steps if one is None else one
    text = isinstance(steps, str | bytes | bytearray | Mapping)
    several = None if text else listed(steps)
    if several is None:
        wrong = text or not hasattr(steps, "__contains__")
    else:
        wrong = any(whole_or_none(each) is None for each in several)
    if wrong:
        raise ArgumentError(
            f"Select: steps is {shown(steps)} and must be a whole number, a range or several whole "
            f"numbers, such as 0, range(10) or {{0, 5}}."
        )
    return steps if several is None else frozenset(several)


TO_TEXT = Select(query="image", key="text")
"""Calls in which the image attends to the text."""
