"""``regard steer``."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.options import (
    Config,
    Device,
    Dtype,
    Guidance,
    Height,
    Negative,
    Seed,
    Steps,
    Variant,
    Width,
    given,
    opened,
)
from regard.cli.polite import bar
from regard.errors import ArgumentError
from regard.saved.named import folder_name

# Options of generation default to None, so that a given one can be told from a default.
Prompt = Annotated[str | None, typer.Argument(help="The prompt.")]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        help="A method and its settings: 'NAME KEY=VALUE ...', such as 'temperature factor=2 "
        "steps=0:10 layers=up'; again for more, which are applied in order."
    ),
]
To = Annotated[
    str | None,
    typer.Option(help="Short for the method prompt-to-prompt with this edited prompt."),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(help="Short for the method drop: mask a word for the image; again for more."),
]
Scale = Annotated[
    list[str] | None,
    typer.Option(help="Short for the method scale: WORD=FACTOR of its attention; again for more."),
]
Recipe = Annotated[
    Path | None, typer.Option(help="Repeat what this recipe.json says, instead of a prompt.")
]
Out = Annotated[
    Path | None, typer.Option(help="Folder to write; by default named after the prompt.")
]
Model = Annotated[
    str | None, typer.Option(help="A bundled model or a folder; by default openmoji.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a steering that is in the folder.")
]


def steer(
    prompt: Prompt = None,
    to: To = None,
    drop: Drop = None,
    scale: Scale = None,
    method: Methods = None,
    recipe: Recipe = None,
    out: Out = None,
    model: Model = None,
    device: Device = "auto",
    dtype: Dtype = None,
    variant: Variant = None,
    config: Config = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = None,
    height: Height = None,
    width: Width = None,
    overwrite: Overwrite = False,
) -> None:
    """Generate a prompt twice from the same seed, without and with attention edits, and compare."""
    texts = _texts([] if to is None else [to], drop or [], scale or [], method or [])
    settings = given(
        seed=seed,
        num_inference_steps=steps,
        guidance_scale=guidance,
        negative_prompt=negative,
        height=height,
        width=width,
    )
    of = partial(opened, device=device, dtype=dtype, variant=variant, config=config)
    target = {"out": out, "overwrite": overwrite}
    if recipe is not None:
        if prompt is not None or texts or settings:
            raise ArgumentError(
                "steer: --recipe says what to generate and to change, and how. Leave out the "
                "prompt and the methods, --seed and all like it too, or --recipe."
            )
        name = f"{recipe.absolute().parent.name}-again"
        _write(lambda: _again(of, model, recipe), name, **target)
        return
    if prompt is None or not texts:
        raise ArgumentError(
            "steer: give a prompt and at least one method, such as "
            "regard steer 'a cat and a car' --drop car."
        )
    name = f"{folder_name(prompt, settings.get('seed', 0))}-steered"
    make = partial(_steered, partial(of, model or "openmoji"), prompt, texts, **settings)
    _write(make, name, **target)


def _texts(
    to: Sequence[str], drop: Sequence[str], scale: Sequence[str], method: Sequence[str]
) -> list[str]:
    """All methods as text; the short options are written as the methods that they stand for."""
    return [
        *(f"prompt-to-prompt prompt={json.dumps(prompt)}" for prompt in to),
        *(f"drop words={json.dumps(word)}" for word in drop),
        *(f"scale weights.{word}" for word in scale),
        *method,
    ]


def _write(make: Callable[[], Any], name: str, *, out: Path | None, overwrite: bool) -> None:
    """Steer, and write the result into a folder that was found free before."""
    from regard.steering.output import FOLDER

    with FOLDER.claim(out or Path(name), overwrite=overwrite) as folder:
        steered = make()
        steered.save(folder, overwrite=overwrite)
    typer.echo(text_of(steered.table))
    typer.echo(f"\nWrote {folder}. Open {folder / 'page.html'} in a browser.")


def _steered(of: Callable[[], Any], prompt: str, texts: Sequence[str], **settings: Any) -> Any:
    from regard.generation import Request
    from regard.methods import parse
    from regard.steering import steer as run
    from regard.zoo.memory import keep_memory

    Request.of(prompt, settings)  # a mistake is told at once
    methods = [parse(text) for text in texts]
    keep_memory()  # the process is ours, and ends with this
    with bar("steering") as advance:
        return run(of(), prompt, methods, progress=advance, **settings)


def _again(of: Callable[[str], Any], model: str | None, recipe: Path) -> Any:
    from regard.steering import replay
    from regard.steering.steer import read_recipe

    told = read_recipe(recipe)
    if model is None:  # the one that the recipe was made with
        model = told.get("model") if isinstance(told.get("model"), str) else "openmoji"
    return replay(of(model), told)


def text_of(table: Any) -> str:
    """What changed, for the terminal."""
    shown = table.drop(columns="unit")

    def told(value: Any) -> str:
        if isinstance(value, str):
            return value
        return "-" if value != value else f"{value:.4f}"

    for name in ("before", "after", "change"):
        shown[name] = shown[name].map(told)
    return str(shown.to_string(index=False))
