"""What a text-to-image model generates, and whether words are attended to where subjects are."""

from functools import partial

from regard.data.prompts import prompts
from regard.data.scenes import HELD_OUT_SINGLES
from regard.experiments.evaluations.generated import (
    GENERATED,
    Wanted,
    generated,
    generated_maps,
    pair_figures,
    single_figures,
)
from regard.experiments.evaluations.noised import NOISED, SCENES, noised, true_maps
from regard.experiments.evaluations.task import CardTask, Chunk, Measured, chunks
from regard.experiments.store import Done
from regard.zoo import Recipe

ONE, TWO = "one subject", "two subjects"


def single_prompts(seeds: int) -> Wanted:
    """For each subject its two held-out prompts, one with a background, at several seeds."""
    both = [prompt for pair in HELD_OUT_SINGLES.values() for prompt in pair]
    return [(prompt, seed) for prompt in both for seed in range(seeds)]


def wanted(what: str, *, quick: bool) -> Wanted:
    """The prompts with one subject, or with two."""
    seeds = 1 if quick else 4
    if what == ONE:
        return single_prompts(seeds)
    return [(each, seed) for each in prompts()[:: 9 if quick else 1] for seed in range(seeds)]


def _chunks(quick: bool) -> list[Chunk]:
    generated = [
        chunk
        for what in (ONE, TWO)
        for chunk in chunks(_named(what, quick), len(wanted(what, quick=quick)), GENERATED)
    ]
    return [*generated, *chunks(SCENES, 96 if quick else 600, NOISED)]


def _named(what: str, quick: bool) -> str:
    return f"{what}, quick" if quick else what


def measured(plan: Recipe, chunk: Chunk) -> Done:
    """Verdicts of the segmenter and maps of the subjects, of generated images or noised scenes."""
    if chunk.what == SCENES:
        return noised(plan, chunk)
    what, _, quick = chunk.what.partition(", ")
    return generated(plan, chunk.of(wanted(what, quick=bool(quick))))


def _figures(found: Measured) -> dict[str, float]:
    def of(*names: str) -> dict[Chunk, Done]:
        return {chunk: done for chunk, done in found.items() if chunk.what.startswith(names)}

    one, two = ([row for done in of(name).values() for row in done.rows] for name in (ONE, TWO))
    return {
        **single_figures(one),
        **pair_figures(two),
        **generated_maps(of(ONE, TWO)),
        **true_maps(of(SCENES)),
        "images": float(len(one) + len(two)),
    }


def diffusion(plan: Recipe) -> CardTask:
    """Whether images show what was asked for, and maps of words find it."""
    return CardTask("generating and noising", _chunks, partial(measured, plan), _figures)
