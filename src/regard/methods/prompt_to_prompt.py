"""Prompt-to-Prompt: an edited prompt with the attention of the source prompt.

Both images are generated in one batch from one initial noise, the source as its last image. In the
conditional branch, and in chosen steps, the source's attention is injected into the edit: image to
image in coarse layers, and image to text through a map from the source's tokens to its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from regard.arguments import flag, listed, number_or_none, shown, whole
from regard.errors import ArgumentError, PromptError, unknown
from regard.methods.guide import Guide
from regard.methods.local_blend import LocalBlend
from regard.methods.method import method
from regard.methods.run import Changes, Plan, Run
from regard.methods.token_map import TokenMap, refined, replaced
from regard.tap import TO_TEXT, AttentionCall, Edit, Select
from regard.trace import Prompt

MODES = {"replace": replaced, "refine": refined}
DEFAULT = "default"
READING = replace(TO_TEXT, condition="cond")

Share = float | int | Sequence[float | int]
"""The first share of the steps, 0..1, or the shares at which it begins and ends."""


@method
def prompt_to_prompt(
    prompt: str,
    *,
    mode: str | None = None,
    cross: Share | Mapping[str, Share] = 0.8,
    self: Share = 0.4,
    reweight: Mapping[str, float] | None = None,
    local_blend: str | Sequence[str] = (),
    largest: int = 256,
    legacy: bool = False,
) -> Plan:
    """Generate an edited prompt with the attention of the source, which is generated beside it.

    Args:
        prompt: The edited prompt; the run's own prompt for `reweight` alone.
        mode: ``replace`` swaps word for word, ``refine`` keeps what both prompts share and leaves
            new words their own attention; None takes ``replace`` for as many words.
        cross: In which share of the steps words get the source's attention, from the first on: 0.8,
            ``[0.2, 0.8]``, or one for each of some words of ``prompt``, with ``default`` for the
            others (by default 1).
        self: In which share of the steps patches attend to patches as in the source.
        reweight: What to multiply the attention of words by while they get the source's, as
            `scale` does: rows then do not sum to 1, and maps show what there was before.
        local_blend: Words of either prompt: regions that attend to none of them stay as in the
            source image. Each prompt needs one; empty for no blending.
        largest: Layers of more patches than this keep their own attention to patches.
        legacy: Map tokens as the authors' code does where that loses count: in ``replace`` after
            the last swapped word, in ``refine`` in the padding.

    Returns:
        A method; the image under it is generated from ``prompt``.

    Raises:
        PromptError: the prompt is empty; in a run, one that the text encoder truncates.
        ArgumentError: a share outside 0..1, a factor that is no finite number, no patches; in a
            run, prompts of different numbers of words in ``replace``, a prompt without a word to
            blend by, or a model with joint attention.
        UnknownName: there is no such mode; in a run, a word that ``prompt`` lacks, or that both
            lack.

    Example:
        >>> prompt_to_prompt("a dog on the beach", self=0.5).recipe()
        {'method': 'prompt-to-prompt', 'prompt': 'a dog on the beach', 'self': 0.5}

    Source:
        Hertz et al. (2022), "Prompt-to-Prompt Image Editing with Cross Attention Control",
        arXiv 2208.01626, section 3; numbers and fractions of steps are those of the authors' code.
    """
    _check_prompt(prompt)
    if mode is not None and mode not in MODES:
        raise unknown("mode", str(mode), MODES)
    flag(legacy, "legacy", "prompt_to_prompt")
    if whole(largest, "largest", "prompt_to_prompt", cure="256 is usual.") < 1:
        raise ArgumentError(f"prompt_to_prompt: largest is {largest} and must be 1 or more; 256.")
    shares = dict(cross) if isinstance(cross, Mapping) else {DEFAULT: cross}
    _check_shares({f"cross of '{word}'": share for word, share in shares.items()} | {"self": self})
    factors = _factors(reweight)
    blend = _words_of(local_blend)

    def plan(run: Run) -> Changes:
        source, edit = _both(run)
        tokens = MODES[mode or _mode(source, edit)](source, edit, legacy=legacy)
        of_tokens = {t: factor for word, factor in factors.items() for t in edit.spelled([word])}
        injection = _Injection(tokens, of_tokens, _spans(edit, shares, run.steps + 1))
        early = span(self, run.steps)
        edits: list[tuple[Select, Edit]] = [(Select(kind="joint"), _refuse)]
        if any(injection.spans):
            edits.append((READING, injection))
        if early:
            few = _at_most(largest)
            edits.append((Select(kind="self", steps=early, condition="cond", when=few), _copy))
        return Changes(edits, _guide(source, edit, blend))

    return plan


@dataclass(frozen=True, eq=False)
class _Injection:
    """An edit of cross-attention: in their steps, tokens get the source's attention.

    Attributes:
        tokens: From the source's tokens to those of the edit.
        factors: What the attention to some tokens is multiplied by meanwhile.
        spans: The steps of each token.
    """

    tokens: TokenMap
    factors: Mapping[int, float]
    spans: Sequence[range]

    def __call__(self, call: AttentionCall) -> None:
        """Inject the source's attention to the tokens that are due in this step."""
        due = torch.tensor([call.step in steps for steps in self.spans], dtype=torch.float32)
        if not due.any():
            return
        share = 1 - due * self.tokens.carried
        call.inject_from(_source_row(call), mapper=self.tokens.mapper * due, share=share)
        for token, factor in self.factors.items():
            if due[token]:
                call.scale_keys([token], factor)


def span(share: Share, count: int) -> range:
    """The steps that a share of them stands for, from 0.

    Args:
        share: Its end, or its beginning and end, 0..1.
        count: Of how many: the steps for self-attention, one more for cross-attention, as in the
            authors' code.

    Example:
        >>> span(0.8, 51), span([0.25, 0.5], 8)
        (range(0, 40), range(2, 4))
    """
    first, last = _ends(share)
    return range(int(first * count), int(last * count))


# Inside


def _check_prompt(prompt: Any) -> None:
    if not isinstance(prompt, str):
        raise PromptError(
            f"prompt_to_prompt: the prompt is {shown(prompt)} and must be a text, such as 'a dog'."
        )
    if not prompt.strip():
        raise PromptError(
            "prompt_to_prompt: the prompt is empty and needs at least one word. Give the edited "
            "prompt, such as 'a dog on the beach'."
        )


def _ends(share: Share) -> tuple[float, float]:
    if isinstance(share, Sequence):
        first, last = share
        return float(first), float(last)
    return 0.0, float(share)


def _check_shares(shares: Mapping[str, Share]) -> None:
    for name, share in shares.items():
        ends = None if isinstance(share, str) else listed(share)
        numbers = [number_or_none(each) for each in (ends if ends is not None else [share])]
        if None in numbers or (ends is not None and len(ends) != 2):
            raise ArgumentError(
                f"prompt_to_prompt: {name} is {shown(share)} and must be a share of the steps, or "
                f"the two at which it begins and ends, such as [0.2, 0.8]."
            )
        first, last = _ends(share)
        if not 0 <= first <= last <= 1:
            raise ArgumentError(
                f"prompt_to_prompt: {name} is {share} and must lie in 0..1: the share of the "
                f"steps, from the first on, that are the source's."
            )


def _factors(reweight: Any) -> dict[str, float]:
    """The factor of each word."""
    if reweight is not None and not isinstance(reweight, Mapping):
        raise ArgumentError(
            f"prompt_to_prompt: reweight is {shown(reweight)} and must give words a factor, such "
            f"as {{'cat': 2.0}}."
        )
    for word, factor in (reweight or {}).items():
        value = number_or_none(factor)
        if not isinstance(word, str) or value is None or not math.isfinite(value):
            raise ArgumentError(
                f"prompt_to_prompt: reweight of {word!r} is {shown(factor)} and must be a "
                f"finite number."
            )
    return dict(reweight or {})


def _words_of(local_blend: Any) -> list[str]:
    """The words to blend by, as a list also if there is one."""
    words = [local_blend] if isinstance(local_blend, str) else listed(local_blend)
    if words is None or not all(isinstance(word, str) for word in words):
        raise ArgumentError(
            f"prompt_to_prompt: local_blend is {shown(local_blend)} and must be words."
        )
    return [word for word in words if word]


def _both(run: Run) -> tuple[Prompt, Prompt]:
    """The source's prompt and the edit's, if both are read to their ends."""
    source, edit = run.source, run.prompt
    if source is None:
        raise ArgumentError(
            "prompt_to_prompt: no source image is generated beside this one. Pass the method to "
            "regard.steer, regard.look or generate_variants."
        )
    if run.model.has_joint_attention:
        raise _joint(run.model.class_name)
    for each in (source, edit):
        if each.cut:
            raise PromptError(
                f"prompt_to_prompt: the text encoder takes {len(each.tokens)} tokens and would "
                f"truncate the prompt: '{each.cut}' would be lost. Shorten it."
            )
    return source, edit


def _mode(source: Prompt, edit: Prompt) -> str:
    counts = {
        len({token.position for token in each.tokens if token.role == "word"})
        for each in (source, edit)
    }
    return "replace" if len(counts) == 1 else "refine"


def _spans(edit: Prompt, shares: Mapping[str, Share], count: int) -> list[range]:
    """The steps in which each token gets the source's attention."""
    spans = [span(shares.get(DEFAULT, 1.0), count)] * len(edit.tokens)
    for word, share in shares.items():
        if word != DEFAULT:
            for token in edit.spelled([word]):
                spans[token] = span(share, count)
    return spans


def _guide(source: Prompt, edit: Prompt, words: Sequence[str]) -> Guide | None:
    if not words:
        return None
    known = [token.name for each in (source, edit) for token in each.tokens if token.role == "word"]
    for word in words:
        if word.casefold() not in {name.casefold() for name in known}:
            raise unknown("word", word, dict.fromkeys(known), advice="local_blend takes either's.")
    blend = LocalBlend(_tokens(source, words), _tokens(edit, words))
    return Guide(after=blend.blended, observe=[(READING, blend.see)])


def _tokens(prompt: Prompt, words: Sequence[str]) -> list[int]:
    """The tokens of those words that this prompt has."""
    wanted = {word.casefold() for word in words}
    tokens = [token.index for token in prompt.tokens if token.name.casefold() in wanted]
    if not tokens:
        raise ArgumentError(
            f"prompt_to_prompt: '{prompt.text}' has none of the words of local_blend: "
            f"{', '.join(words)}. Name one of each prompt, or one that both have."
        )
    return tokens


def _source_row(call: AttentionCall) -> int:
    """The row of the source: it is the last image of the conditional branch."""
    return call.rows_of("cond").stop - 1


def _copy(call: AttentionCall) -> None:
    call.inject_from(_source_row(call))


def _at_most(patches: int) -> Callable[[AttentionCall], bool]:
    return lambda call: call.shape[2] <= patches


def _refuse(call: AttentionCall) -> None:
    raise _joint(f"{call.layer} of {call.model}")


def _joint(what: str) -> ArgumentError:
    return ArgumentError(
        f"prompt_to_prompt: {what} attends to text and image at once, and this method needs "
        f"layers for text alone. Use a U-Net, such as 'openmoji'."
    )
