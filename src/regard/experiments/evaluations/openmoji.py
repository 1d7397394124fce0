"""What a text-to-image model generates, and whether words are attended to where subjects are."""

from functools import partial

from regard.data.prompts import prompts
from regard.data.scenes import HELD_OUT_COUNTS, HELD_OUT_SINGLES
from regard.experiments.evaluations.generated import (
    GENERATED,
    Wanted,
    count_figures,
    each_subject,
    generated,
    generated_maps,
    pair_figures,
    single_figures,
)
from regard.experiments.evaluations.noised import NOISED, SCENES, noised, true_maps
from regard.experiments.evaluations.task import CardTask, Chunk, Measured, chunks
from regard.experiments.store import Done
from regard.zoo import Recipe
from regard.zoo.pixels import kind_of_scenes

ONE, TWO, SEVERAL = "one subject", "two subjects", "several of a subject"


def wanted(what: str, *, quick: bool) -> Wanted:
    """The prompts with one subject, with two, or with two or three of one, at several seeds.

    Of one subject there are its two held-out prompts, one with a background.
    """
    held_out = {ONE: HELD_OUT_SINGLES, SEVERAL: HELD_OUT_COUNTS}
    if what in held_out:
        texts = [prompt for pair in held_out[what].values() for prompt in pair]
    else:
        texts = list(prompts()[:: 9 if quick else 1])
    return [(each, seed) for each in texts for seed in range(1 if quick else 4)]


def _kinds(plan: Recipe) -> tuple[str, ...]:
    """What a model is asked for: scenes of version 1 counted nothing."""
    return (ONE, TWO) if kind_of_scenes(plan.train)["version"] == 1 else (ONE, TWO, SEVERAL)


def _chunks(plan: Recipe, quick: bool) -> list[Chunk]:
    generated = [
        chunk
        for what in _kinds(plan)
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

    one, two, several = (
        [row for done in of(name).values() for row in done.rows] for name in (ONE, TWO, SEVERAL)
    )
    return {
        **single_figures(one),
        **(count_figures(several) | each_subject(one) if several else {}),
        **pair_figures(two),
        **generated_maps(of(ONE, TWO)),
        **true_maps(of(SCENES)),
        "images": float(len(one) + len(two) + len(several)),
    }


def diffusion(plan: Recipe) -> CardTask:
    """Whether images show what was asked for, and maps of words find it."""
    return CardTask(
        "generating and noising", partial(_chunks, plan), partial(measured, plan), _figures
    )
