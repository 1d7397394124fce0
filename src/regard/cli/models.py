"""``regard models``, ``regard train`` and ``regard evaluate``."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.experiment import carry_out, named
from regard.cli.polite import STOPPED, bar, stop
from regard.errors import ArgumentError, DataError
from regard.zoo import recipe

Name = Annotated[str, typer.Argument(help="A bundled model; regard models lists them.")]


def models() -> None:
    """List the bundled models."""
    from regard.zoo import bundled, weights_folder

    for model in bundled():
        try:
            weights_folder(model["name"])
            note = ""
        except DataError:
            note = f"\n    No weights yet; make them with: regard train {model['name']}"
        typer.echo(f"{model['name']} ({model['class']})\n    {model['summary']}{note}")


def train(
    name: Name,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default checkpoints/NAME.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")
    ] = False,
    start: Annotated[
        Path | None, typer.Option(help="Folder of trained weights to begin from.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps in all; by default the recipe's.")
    ] = None,
) -> None:
    """Train a bundled model, or continue a training."""
    if steps is not None and steps < 1:
        raise ArgumentError(f"train: steps is {steps} and must be 1 or more.")
    plan = recipe(name)  # an unknown name is refused before torch is loaded
    from regard.zoo.train import Progress
    from regard.zoo.train import train as run

    folder = out or Path("checkpoints") / name
    columns = ("loss {task.fields[loss]:.4f}", "{task.fields[seconds]:.2f} s/step")
    try:
        with bar(f"training {name}", *columns) as advance:

            def on_step(now: Progress) -> None:
                advance(now.step, now.steps, loss=now.loss, seconds=now.seconds_per_step)

            how = {"resume": resume, "start": start, "steps": steps}
            trained = run(name, folder, **how, on_step=on_step)
    except KeyboardInterrupt:
        stop(_how_to_go_on(name, folder, out), STOPPED)
    typer.echo(f"Wrote {trained}. {_how_to_use(plan.task, trained)}")


def _how_to_use(task: str, trained: Path) -> str:
    what = {"diffusion": "PROMPT", "classifier": "--image PICTURE"}.get(task)
    if what is None:
        return f"Open it in Python: regard.load('{trained}')"
    return f"Use it: regard look {what} --model {trained}"


def _how_to_go_on(name: str, folder: Path, out: Path | None) -> str:
    if not (folder / "last.pt").exists():
        return f"stopped; there was no checkpoint yet in {folder}."
    where = "" if out is None else f" --out {out}"
    return f"stopped; go on from the last checkpoint with: regard train {name} --resume{where}"


def evaluate(
    name: Name,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="A subset, in less than a minute.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write a report to; none is written without.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an evaluation that is in the folder.")
    ] = False,
) -> None:
    """Measure every figure that the card of a bundled model quotes.

    With --out, called again after an interruption, it goes on where it stopped.
    """
    recipe(name)  # an unknown name is refused before torch is loaded
    from regard.experiments.evaluate import evaluate as compute
    from regard.experiments.evaluate_report import EVALUATION

    run = partial(compute, name, quick=quick)
    what = f"evaluating {name}"
    if out is not None:
        how: Any = {"cases": ("chunk", "chunks"), "overwrite": overwrite, "as_json": as_json}
        carry_out(EVALUATION, out, run, what, **how, names=True, text_of=text_of)
        return
    with bar(what) as advance:
        found = run(progress=named(advance))
    typer.echo(json.dumps(found.to_json()) if as_json else text_of(found))


def text_of(found: Any) -> str:
    """The figures, one a line."""
    return "\n".join(f"{key:<28}{value:g}" for key, value in found.figures.items())
