"""``regard learn-weights``."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.options import Config, Device, Dtype, Guidance, Seed, Steps, Variant, given, opened
from regard.cli.polite import bar
from regard.errors import ArgumentError
from regard.saved.named import folder_name


def learn_weights(
    prompt: Annotated[str, typer.Argument(help="What to generate.")],
    target: Annotated[Path, typer.Option(help="The image, as large as the model generates.")],
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
    device: Device = "auto",
    dtype: Dtype = None,
    variant: Variant = None,
    config: Config = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace word weights that are in the folder.")
    ] = False,
) -> None:
    """Learn how much attention each word of a prompt should get to give an image."""
    from regard.generation import Request
    from regard.steering.weights import FOLDER

    sampling = given(seed=seed, num_inference_steps=steps, guidance_scale=guidance)
    Request.of(prompt, sampling)  # a mistake is told at once
    if steps is not None and groups > steps:
        raise ArgumentError(
            f"learn-weights: groups is {groups}, and the generation has {steps} steps, so that a "
            f"part would have none. Take at most {steps} groups, or more --num-inference-steps."
        )
    name = out or Path(f"{folder_name(prompt, seed or 0)}-weights")
    with FOLDER.claim(name, overwrite=overwrite) as folder:
        learned, steered = _learned(
            partial(opened, model, device=device, dtype=dtype, variant=variant, config=config),
            prompt,
            target,
            sampling,
            words=None if words is None else [word.strip() for word in words.split(",")],
            seeds=seeds,
            iterations=iterations,
            rate=rate,
            groups=groups,
        )
        learned.save(folder, steered=steered, overwrite=overwrite)
    typer.echo(learned.table.to_string(index=False, float_format="{:.3f}".format))
    typer.echo("\n" + learned.losses.to_string(index=False, float_format="{:.4f}".format))
    typer.echo(f"\nWrote {folder}. Look at {folder / 'images.png'}.")


def _learned(
    of: Callable[[], Any], prompt: str, target: Path, sampling: dict[str, Any], **options: Any
) -> tuple[Any, Any]:
    """The weights, and the prompt generated without and with them."""
    from regard.generation import Request
    from regard.models import TextToImage
    from regard.steering import learn_word_weights, steer
    from regard.zoo.memory import keep_memory

    keep_memory()  # the process is ours, and ends with this
    model = TextToImage.of(of())
    request = model.decide(Request.of(prompt, sampling))
    with bar("learning") as advance:
        learned = learn_word_weights(model, prompt, target, progress=advance, **options)
    with bar("generating") as advance:
        methods = learned.methods(request.num_inference_steps)
        return learned, steer(model, prompt, methods, progress=advance, **sampling)
