"""What explanations of words begin with: a model, a request, and the tokens that are asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

from regard.generation import Request
from regard.look.asked import check_words
from regard.models.text_to_image import TextToImage
from regard.trace import Prompt


def asked_words(
    model: Any, prompt: str, words: Sequence[str] | None, sampling: Mapping[str, Any]
) -> tuple[TextToImage, Request, Prompt, list[int]]:
    """The model, the request, the tokens of the prompt, and the indices of those asked for.

    Args:
        model: As for `regard.look`.
        prompt: What to generate; all of it must fit.
        words: Words of it; None for all tokens.
        sampling: As in `regard.generation.Sampling`.

    Raises:
        PromptError: the prompt is empty or too long.
        UnknownName: the prompt has no such word, or there is no such model.
        ArgumentError: another argument lies outside what it may be.
    """
    request = Request.of(prompt, sampling)
    check_words(words)
    opened = TextToImage.of(model)
    text = opened.tokenize(prompt, whole=True)
    every = [token.index for token in text.tokens]
    return opened, request, text, every if words is None else text.spelled(words)
