"""The study of a vision transformer: what it attends to, how that changes, what it explains."""

import os
from typing import Any

from regard.data.fashion_mnist import FashionMNIST, fashion_mnist
from regard.experiments.meter import Progress
from regard.experiments.run import run
from regard.experiments.studies.budget import FULL, QUICK, Budget
from regard.experiments.studies.study import Study
from regard.progress import check_progress

MODEL = "fashion-vit"


def vit(
    model: Any = MODEL,
    data: FashionMNIST | str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    budget: Budget | None = None,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | bool | None = None,
) -> Study:
    """Test what is often said of the attention of vision transformers on one of them.

    Its hypotheses stand in `regard.experiments.studies.hypotheses`, written before any
    measurement. Each gets a number with its 95 % interval over images (over heads where heads are
    compared), a Holm-adjusted p, and a verdict.

    Args:
        model: A `regard.models.Vision` that names the classes of the data, or its name or folder.
        data: Test images, or the folder with the files of Fashion-MNIST; by default where
            `regard.data.fashion_mnist` finds them.
        quick: A tenth of the work, to see whether all is well; not to be quoted.
        budget: How many images each part takes, in place of what ``quick`` says.
        store: A folder to which what each part measured is written at once; a call with the same
            settings and folder goes on from there. None keeps nothing until the end.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: None shows a progress bar on a terminal, True always, False never; a function is
            called with what is being done, the images done and the images there are.

    Returns:
        A `Study`: findings, tables, figures and ``save(folder)``.

    Raises:
        DataError: the data is missing or damaged, or the model cannot be opened.
        UnknownName: there is no such model.
        ArgumentError: the model is no classifier of these classes, or its attention cannot be
            studied.
        OutputError: the store holds something else, or cannot be written, or another process
            writes there.
    """
    check_progress(progress)
    test = data if isinstance(data, FashionMNIST) else fashion_mnist("test", data)
    # These import torch, so they wait until the data is known to be there.
    from regard.experiments.studies.setting import opened
    from regard.experiments.studies.vit_plan import VitPlan

    setting = opened(model, test, budget or (QUICK if quick else FULL))
    plan = VitPlan.of(setting, quick=quick)
    return run(plan, store=store, overwrite=overwrite, progress=progress)
