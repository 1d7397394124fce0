"""The study of redundant words: does hiding a word change the image as deleting it does?"""

import os
from typing import TYPE_CHECKING, Any

from regard.errors import ArgumentError
from regard.experiments.meter import Progress
from regard.experiments.run import run
from regard.experiments.studies.study import Study
from regard.progress import check_progress

if TYPE_CHECKING:  # which imports torch
    from regard.experiments.studies.removal_plan import PromptBudget

MODEL = "openmoji"


def redundancy(
    model: Any = MODEL,
    data: Any = None,
    *,
    quick: bool = False,
    budget: "PromptBudget | None" = None,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | bool | None = None,
) -> Study:
    """Test on held-out prompts whether the leave-one-word-out check agrees with deletion.

    Each word of each prompt is hidden as `regard.look.verify` hides it, and deleted from the
    prompt. Both images are scored by the same rule against the same controls. Then words are hidden
    that were planted so that they cannot matter, beside such as must.

    Args:
        model: `openmoji`, or another text-to-image model of the same world; its name, folder or
            pipeline.
        data: None; the prompts are captions of scenes.
        quick: A tenth of the work; not to be quoted.
        budget: How much is generated, in place of what ``quick`` says.
        store: A folder to which each finished prompt is written at once; a call with the same
            settings and folder goes on from there. None keeps nothing until the end.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: None shows a progress bar on a terminal, True always, False never; a function is
            called with what is being done, the prompts done and the prompts there are.

    Returns:
        A `Study`.

    Raises:
        ArgumentError: data is given, or no detector knows the images of the model.
        OutputError: the store holds something else, or cannot be written, or another process
            writes there.
    """
    if data is not None:
        raise ArgumentError(
            "study redundancy: data is given, and its prompts are captions of scenes. Leave --data "
            "out."
        )
    check_progress(progress)
    from regard.experiments.studies.removal_plan import FULL, QUICK, RemovalPlan
    from regard.models.text_to_image import TextToImage

    chosen = budget or (QUICK if quick else FULL)
    plan = RemovalPlan.of(TextToImage.of(model), chosen, quick=quick)
    return run(plan, store=store, overwrite=overwrite, progress=progress)
