"""``regard learn-weights``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.polite import bar
from regard.cli.see import folder_name
from regard.errors import ArgumentError


def learn_weights(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    target: Annotated[Path, typer.Option(help="The picture, as large as the model draws.")],
    words: Annotated[
        str | None, typer.Option(help="Only these words get a weight, such as cat,car.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings; from 5 on there are intervals.")] = 5,
    iterations: Annotated[int, typer.Option(help="Steps of each training.")] = 100,
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 0.05,
    groups: Annotated[
        int, typer.Option(help="Parts of the generation with weights of their own.")
    ] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default named after the prompt.")
    ] = None,
    model: Annotated[str, typer.Option(help="A bundled model or a folder.")] = "openmoji",
    seed: Annotated[int, typer.Option(help="Of the picture before and after.")] = 0,
    steps: Annotated[int, typer.Option(help="Denoising steps of these.")] = 30,
    guidance: Annotated[
        float, typer.Option(help="Classifier-free guidance of these; up to 1 is off.")
    ] = 4.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace word weights that are in the folder.")
    ] = False,
) -> None:
    """Learn how much attention each word of a prompt should get to give a picture."""
    from regard.look.settings import Settings
    from regard.steering.weights import FOLDER

    settings: dict[str, Any] = {"seed": seed, "steps": steps, "guidance": guidance}
    Settings(prompt, caller="learn-weights", **settings)  # a mistake is told at once
    if groups > steps:
        raise ArgumentError(
            f"learn-weights: groups is {groups}, and the generation has {steps} steps, so that a "
            f"part would have none. Take at most {steps} groups, or more --steps."
        )
    name = out or Path(f"{folder_name(prompt, seed)}-weights")
    with FOLDER.claim(name, overwrite=overwrite) as folder:
        learned, drawn = _learned(
            model,
            prompt,
            target,
            settings,
            words=None if words is None else [word.strip() for word in words.split(",")],
            seeds=seeds,
            iterations=iterations,
            rate=rate,
            groups=groups,
        )
        learned.save(folder, drawn=drawn, overwrite=overwrite)
    typer.echo(learned.table.to_string(index=False, float_format="{:.3f}".format))
    typer.echo("\n" + learned.losses.to_string(index=False, float_format="{:.4f}".format))
    typer.echo(f"\nWrote {folder}. Look at {folder / 'pictures.png'}.")


def _learned(
    model: str, prompt: str, target: Path, settings: dict[str, Any], **options: Any
) -> tuple[Any, Any]:
    """The weights, and the prompt drawn without and with them."""
    from regard.look.generate import opened
    from regard.steering import learn_word_weights, steer
    from regard.zoo.memory import keep_memory

    keep_memory()  # the process is ours, and ends with this
    pipeline = opened(model)
    with bar("learning") as advance:
        learned = learn_word_weights(pipeline, prompt, target, progress=advance, **options)
    with bar("drawing") as advance:
        methods = learned.methods(settings["steps"])
        return learned, steer(pipeline, prompt, methods, progress=advance, **settings)
