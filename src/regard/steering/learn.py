"""The weights of a prompt's words with which it gives an image: learned; all else is fixed."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from regard.arguments import number_or_none, shown, verb, whole
from regard.data.pictures import as_rgb
from regard.errors import ArgumentError
from regard.generation import Request
from regard.look.asked import check_words
from regard.progress import Progress, check_progress, reporting
from regard.stats.means import bootstrap
from regard.steering.weights import END, PAD, WordWeights
from regard.trace import Prompt

WHO = "learn_word_weights"


@verb
def learn_word_weights(
    model: Any,
    prompt: str,
    target: Any,
    *,
    words: Sequence[str] | None = None,
    seeds: int = 5,
    iterations: int = 100,
    rate: float = 0.05,
    batch: int = 4,
    groups: int = 1,
    decay: float = 1e-4,
    smooth: float = 1e-3,
    held_out: int = 32,
    progress: Progress = None,
) -> WordWeights:
    """Learn how much attention each word of a prompt should get to give an image; 1 is neutral.

    What is learned is the logarithm of each weight, which is added to the scores; the weight of
    the first token is 1, and all tokens after the words have one weight together, named ``[end]``.
    The loss is the usual denoising loss on the target image.

    Args:
        model: A diffusers pipeline with a UNet, or the name or folder of one.
        prompt: What to generate.
        target: The image: a file, PIL, or uint8 [y, x, 3]; as large as the model generates.
        words: Which words get a weight; None for all.
        seeds: Trainings, each with noise of its own; fewer than 5 give no intervals.
        iterations: Steps of each training.
        rate: Learning rate of Adam; a weight changes by at most about this share in an iteration.
        batch: Noisy targets in an iteration, at timesteps spread over all of them.
        groups: Parts of the generation that have weights of their own.
        decay: Factor of the squared logarithms in the loss.
        smooth: Factor of the squared differences between neighbouring parts in the loss.
        held_out: Noisy targets, the same for all, on which the result is measured; none is trained.
        progress: As for `regard.look`; a function is called after each iteration with those done
            and those in all, of all seeds.

    Returns:
        The weights with intervals over seeds, and the loss on held-out noise with them, without
        them, and with them assigned to other words.

    Raises:
        PromptError: the prompt is empty or too long.
        UnknownName: there is no such model, or no such word in the prompt.
        DataError: the target cannot be read.
        ArgumentError: the target has another size, a number cannot be, or the model has no
            cross-attention, no UNet, or a scheduler without a noise schedule of its own.
        NothingObserved: the model has no attention.

    Example:
        >>> from regard.data import scene
        >>> found = learn_word_weights(
        ...     "openmoji", "a cat", scene(0).image, seeds=1, iterations=1, batch=1, held_out=1)
        >>> list(found.table["word"])
        ['a', 'cat', '[end]']

    Source:
        The weights are ours; the loss is that of Gal et al. (2022), "An Image is Worth One Word",
        arXiv 2208.01618, section 4, who learn an embedding in place of weights.
    """
    request = Request(prompt, num_inference_steps=1, guidance_scale=1.0)
    check_words(words)
    check_progress(progress)
    _check_numbers(seeds, iterations, rate, batch, groups, decay, smooth, held_out)
    picture = as_rgb(target)
    from regard.models.text_to_image import TextToImage  # these load torch
    from regard.steering.denoising import Training, gates_of, judged, task_of, trained

    with reporting(progress, "learning") as advance:
        model = TextToImage.of(model)
        text = model.tokenize(prompt, whole=True)
        names = _names(text, words)
        task = task_of(model, model.decide(request), picture, gates_of(text, names), groups)
        found = np.zeros((seeds, groups, len(names)))
        for seed in range(seeds):

            def iterated(done: int, before: int = seed) -> None:
                advance(before * iterations + done, seeds * iterations)

            course = Training(seed, iterations, rate, batch, decay, smooth)
            found[seed] = trained(task, len(names), course, iterated).numpy()
    recipe = {
        "prompt": prompt, "words": names, "seeds": seeds, "iterations": iterations, "rate": rate,
        "batch": batch, "groups": groups, "decay": decay, "smooth": smooth, "held_out": held_out,
    }  # fmt: skip
    table, losses = weights_table(names, found), judged(task, names, found.mean(0), held_out)
    padded = any(token.role == "pad" for token in text.tokens)
    return WordWeights(prompt, table, losses, picture, recipe, PAD if padded else None)


def weights_table(names: Sequence[str], logs: np.ndarray) -> pd.DataFrame:
    """A row for each word of each part: its weight, with an interval over seeds.

    Args:
        names: The words.
        logs: Logarithms of the weights, [seed, group, word].

    Returns:
        The columns word, part, weight, low and high; 1 is neutral.
    """
    rows = []
    for part in range(logs.shape[1]):
        for place, name in enumerate(names):
            found = bootstrap(logs[:, part, place])
            weights = (math.exp(each) for each in (found.mean, found.low, found.high))
            rows.append((name, part, *weights))
    return pd.DataFrame(rows, columns=["word", "part", "weight", "low", "high"])


# Inside


def _names(text: Prompt, words: Sequence[str] | None) -> list[str]:
    """The words that get a weight, as the prompt spells them, and what stands for all after."""
    own = {token.name.casefold(): token.name for token in text.tokens if token.role == "word"}
    if words is not None:
        text.spelled(words)
        own = {word.casefold(): own.get(word.casefold(), word) for word in words}
        own.pop(END, None)
        own.pop(PAD, None)
    ends = any(token.name == END for token in text.tokens)
    return [*own.values(), *([END] if ends else [])]


def _check_numbers(
    seeds: int,
    iterations: int,
    rate: float,
    batch: int,
    groups: int,
    decay: float,
    smooth: float,
    held_out: int,
) -> None:
    counts = {
        "seeds": seeds, "iterations": iterations, "batch": batch, "groups": groups,
        "held_out": held_out,
    }  # fmt: skip
    for name, count in counts.items():
        if whole(count, name, WHO) < 1:
            raise ArgumentError(f"{WHO}: {name} is {count} and must be 1 or more.")
    if not 0 < (number_or_none(rate) or 0.0) < math.inf:
        raise ArgumentError(
            f"{WHO}: rate is {shown(rate)} and must be above 0 and finite; 0.05 is usual."
        )
    for name, factor in {"decay": decay, "smooth": smooth}.items():
        value = number_or_none(factor)
        if value is None or not 0 <= value < math.inf:
            raise ArgumentError(
                f"{WHO}: {name} is {shown(factor)} and must be 0 or more and finite."
            )
