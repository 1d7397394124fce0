"""The study of consistency: what shared attention does for one subject in many scenes."""

import os
from typing import TYPE_CHECKING, Any

from regard.errors import ArgumentError
from regard.experiments.meter import Progress
from regard.experiments.run import run
from regard.experiments.studies.study import Study
from regard.progress import check_progress

if TYPE_CHECKING:  # which imports torch
    from regard.experiments.studies.consistency_plan import ConsistencyBudget

MODEL = "openmoji"


def consistency(
    model: Any = MODEL,
    data: Any = None,
    *,
    quick: bool = False,
    budget: "ConsistencyBudget | None" = None,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | bool | None = None,
) -> Study:
    """Test what is said of shared attention and of filtered keys and values.

    Each subject is generated in several scenes: independently, with plain sharing, with ConsiStory,
    and with keys and values whose singular values are cut or weighed in many ways. Statistics are
    paired by set of scenes and clustered by subject.

    Args:
        model: `openmoji`, or another text-to-image model of the same world; its name, folder or
            pipeline.
        data: None; the prompts are subjects on backgrounds of scenes.
        quick: A small part of the work; not to be quoted.
        budget: How much is generated, in place of what ``quick`` says.
        store: A folder to which each finished set is written at once; a call with the same
            settings and folder goes on from there. None keeps nothing until the end.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: None shows a progress bar on a terminal, True always, False never; a function is
            called with what is being done, the images done and the images there are.

    Returns:
        A `Study`.

    Raises:
        ArgumentError: data is given, or no detector knows the images of the model.
        OutputError: the store holds something else, or cannot be written, or another process
            writes there.

    Source:
        The hypotheses are those of E. Grishina (2025), coursework on personalised generation, HSE,
        sections 4 and 5.
    """
    if data is not None:
        raise ArgumentError(
            "study consistency: data is given, and its prompts are subjects on backgrounds. Leave "
            "--data out."
        )
    check_progress(progress)
    from regard.experiments.consist import BUNDLED
    from regard.experiments.studies.consistency_plan import FULL, QUICK, ConsistencyPlan
    from regard.models.text_to_image import TextToImage
    from regard.scores.change import judge_of
    from regard.scores.pairs import open_encoder

    opened = TextToImage.of(model)
    if judge_of(opened) is None:
        raise ArgumentError(
            f"study consistency: no detector knows what {opened.name} generates, so its subjects "
            f"cannot be cut out. Take a bundled model, or regard.experiments.consist."
        )
    chosen = budget or (QUICK if quick else FULL)
    plan = ConsistencyPlan.of(opened, open_encoder(BUNDLED), chosen, quick=quick)
    return run(plan, store=store, overwrite=overwrite, progress=progress)
