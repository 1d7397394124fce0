"""Which attention of a model was seen, and which was not: what `Tap.report` says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from regard.tap.call import AttentionCall
from regard.tap.model import CURE, Root, attention_layers, some_of


@dataclass
class Coverage:
    """What a tap has seen of the attention of its models.

    Attributes:
        calls: Attention calls by layer, in running order.
        kinds: Kinds of these calls, in running order; none for an unknown family.
        attention: Modules that ran and say that they are attention: what to call each, by layer.
        unread: What was found in a layer that could not be read as attention, by layer.
        untapped: Names of other parts of a pipeline that ran in its steps and have attention.
    """

    calls: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, None] = field(default_factory=dict)
    attention: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    untapped: dict[str, None] = field(default_factory=dict)

    def add(self, call: AttentionCall, *, again: bool) -> None:
        """Note a call; ``again`` if backward recomputes one that was noted already."""
        if call.layer not in self.calls and call.layout is not None:
            self.kinds.setdefault(call.kind)
        self.calls[call.layer] = self.calls.get(call.layer, 0) + (not again)

    def mentions(self, layer: str) -> bool:
        """Whether anything is known of a layer, so that it must be watched further."""
        return layer in self.calls or layer in self.attention or layer in self.unread

    def report(self, roots: Sequence[Root], others: Mapping[str, nn.Module]) -> str:
        """What was seen, and what ran without any attention that can be seen.

        Args:
            roots: The models that are tapped.
            others: The parts of the pipeline that are not, by name.
        """
        name = " + ".join(type(root.model).__name__ for root in roots)
        calls, layers = sum(self.calls.values()), len(self.calls)
        lines = [f"{name}: {_count(calls, 'attention call')} in {_count(layers, 'layer')}."]
        silent = [f"{at} ({what})" for at, what in self.attention.items() if at not in self.calls]
        if silent:
            lines.append(
                f"These ran without a softmax attention that can be seen: {some_of(silent)}. {CURE}"
            )
        if self.unread:
            unread = [f"{what} in {at}" for at, what in self.unread.items()]
            lines.append(f"Not understood: {some_of(unread)}.")
        if self.untapped:
            beside = [
                f"{name} ({_count(len(attention_layers(others[name])), 'attention layer')})"
                for name in self.untapped
            ]
            lines.append(
                f"In its steps ran, not tapped: {some_of(beside)}. Pass that to a Tap of its own."
            )
        if not any(root.ran for root in roots):
            lines.append(
                "The model was not run inside this `with` block, or in another thread. Open the "
                "tap where the model runs."
            )
        elif not (calls or silent or self.unread):
            lines.append(
                "It ran, but has no softmax attention: no scaled_dot_product_attention, and no "
                "matmul, softmax, matmul."
            )
        return " ".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
