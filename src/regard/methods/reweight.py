"""Words: mask them, or scale the attention that they get.

With neutral settings the image is bit for bit the one without.
"""

from collections.abc import Mapping, Sequence

import torch

from regard.arguments import shown
from regard.errors import ArgumentError
from regard.methods.everywhere import OF_ONE_KIND, check_factor, everywhere
from regard.methods.method import method
from regard.methods.run import Changes, Plan, Run
from regard.methods.where import EVERYWHERE, Where, listed_words
from regard.tap import AttentionCall, Edit


@method(where=OF_ONE_KIND)
def drop(words: str | Sequence[str], *, where: Where = EVERYWHERE) -> Plan:
    """Mask words for the image; the remaining weights of each row still sum to 1.

    Args:
        words: A word of the prompt or several, ``cat#2`` for the second cat; ``[start]``,
            ``[end]`` and ``[pad]`` stand for the tokens around them.
        where: Steps, layers, stage and condition; see `Where`.

    Returns:
        A method.

    Raises:
        ArgumentError: no words; in a run, steps, a stage or a branch that it lacks, or no token
            that would be left.
        UnknownName: in a run, a word that the prompt lacks, or a layer that is not there.

    Example:
        >>> drop(["dog", "red"], where=Where(steps=range(10))).recipe()
        {'method': 'drop', 'words': ['dog', 'red'], 'where': {'steps': [0, 10]}}

    Source:
        Scores of -inf before the softmax; see Hertz et al. (2022), arXiv 2208.01626, section 3.3,
        for the weights after it, which do not sum to 1.
    """
    names = listed_words(words, "drop")

    def edit(tokens: list[int]) -> Edit:
        def mask(call: AttentionCall) -> None:
            keys, before = _text_keys(call, tokens), call.bias
            call.mask_keys(keys)
            if _all_masked(call, keys, alone=before is None):
                raise ArgumentError(
                    f"drop: without {', '.join(names)} no token of the prompt is left to attend "
                    f"to. Keep one, such as [start]."
                )

        return mask

    def plan(run: Run) -> Changes:
        own = edit(run.prompt.spelled(names))
        return everywhere(drop, run, where, own, query="image", key="text")

    return plan


@method(where=OF_ONE_KIND)
def scale(
    weights: Mapping[str, float], *, renormalise: bool = False, where: Where = EVERYWHERE
) -> Plan:
    """Multiply the attention that words get: 1 changes nothing, 0 removes it.

    Args:
        weights: The factor of each word; below 0 its values are subtracted.
        renormalise: Whether each row must sum to 1 again, at the cost of the other words. If not,
            the sum changes, as in Prompt-to-Prompt.
        where: Steps, layers, stage and condition; see `Where`.

    Returns:
        A method.

    Raises:
        ArgumentError: no words, a factor that is no finite number, or below 0 with ``renormalise``;
            in a run, as for `drop`.
        UnknownName: as for `drop`.

    Example:
        >>> scale({"car": 2.0}).recipe()
        {'method': 'scale', 'weights': {'car': 2.0}}

    Source:
        Hertz et al. (2022), "Prompt-to-Prompt Image Editing with Cross Attention Control",
        arXiv 2208.01626, section 3.3 (attention re-weighting).
    """
    if not isinstance(weights, Mapping):
        raise ArgumentError(
            f"scale: weights is {shown(weights)} and must give each word a factor, such as "
            f"{{'cat': 2.0}}."
        )
    listed_words(list(weights), "scale")
    for word, factor in weights.items():
        check_factor("scale", f"the weight of '{word}'", factor)
        if renormalise and factor < 0:
            raise ArgumentError(
                f"scale: the weight of '{word}' is {factor} and must be 0 or more with "
                f"renormalise, which keeps shares of attention."
            )

    def plan(run: Run) -> Changes:
        factors = {tuple(run.prompt.spelled([word])): by for word, by in weights.items()}

        def multiply(call: AttentionCall) -> None:
            for tokens, factor in factors.items():
                if factor != 1.0:
                    keys = _text_keys(call, tokens)
                    call.scale_keys(keys, factor, renormalise=renormalise)

        return everywhere(scale, run, where, multiply, query="image", key="text")

    return plan


# Inside


def _text_keys(call: AttentionCall, tokens: Sequence[int]) -> list[int]:
    start = call.known_layout("methods").keys_of("text").start
    return [start + token for token in tokens]


def _all_masked(call: AttentionCall, keys: Sequence[int], *, alone: bool) -> bool:
    """Whether some row has no key left; without another mask it follows from the number of keys."""
    if alone:
        return len(set(keys)) == call.shape[-1]
    return call.bias is not None and bool((call.bias == -torch.inf).all(-1).any())
