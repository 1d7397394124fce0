"""``regard explain``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.options import Config, Device, Dtype, Guidance, Seed, Steps, Variant, opened
from regard.cli.polite import at_once
from regard.errors import ArgumentError

Picture = Annotated[Path | None, typer.Argument(metavar="IMAGE", help="An image to classify.")]
Prompt = Annotated[str | None, typer.Option(help="A prompt to generate, instead of an image.")]
Model = Annotated[
    str | None,
    typer.Option(help="A name or folder; by default fashion-vit, for a prompt openmoji."),
]
Method = Annotated[
    str | None,
    typer.Option(
        help="An explanation, by default relevance; for a prompt word_rollout (the default), "
        "word_regions or propagated_words."
    ),
]
Target = Annotated[
    str | None, typer.Option(help="The class asked about, by label or number; else the likeliest.")
]
Words = Annotated[
    str | None, typer.Option(help="Of a prompt, only these words, such as 'cat,car'.")
]
Out = Annotated[Path | None, typer.Option(help="Folder to write; by default named after both.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an explanation that is in the folder.")
]


def explain(
    image: Picture = None,
    prompt: Prompt = None,
    model: Model = None,
    device: Device = "auto",
    dtype: Dtype = None,
    variant: Variant = None,
    config: Config = None,
    method: Method = None,
    target: Target = None,
    words: Words = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Say which patches of an image decided, or which come of which word of a prompt."""
    of_prompt = {
        "words": words,
        "seed": seed,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
    }
    if (image is None) == (prompt is None):
        raise ArgumentError(
            "explain: give either an image, such as dress.png, or a prompt with --prompt."
        )
    _refuse(of_prompt if prompt is None else {"target": target}, prompt)
    which = model or ("fashion-vit" if prompt is None else "openmoji")
    at_once(f"opening {which}")
    folder = out or Path(_name(prompt, image, which))
    from regard.explain import output

    with output.FOLDER.claim(folder, overwrite=overwrite):
        network = opened(which, device=device, dtype=dtype, variant=variant, config=config)
        if prompt is None:
            found = output.explain_image(network, image, method or "relevance", target=target)
        else:
            given = {name: value for name, value in of_prompt.items() if value is not None}
            if words is not None:
                given["words"] = [word.strip() for word in words.split(",") if word.strip()]
            found = output.explain_prompt(network, prompt, method or "word_rollout", **given)
        found.save(folder, overwrite=overwrite)
    for name, heat in found.maps.items():
        y, x = (int(at) for at in divmod(int(heat.values.argmax()), heat.sizes["x"]))
        typer.echo(f"{name:<24}most at row {y}, column {x}: {float(heat.values.max()):.4g}")
    typer.echo(f"Wrote {folder}.")


def _refuse(given: dict[str, Any], prompt: str | None) -> None:
    for name, value in given.items():
        if value is not None:
            other = "an image" if prompt is not None else "a prompt"
            raise ArgumentError(f"explain: --{name} is for {other}. Leave it out.")


def _name(prompt: str | None, image: Path | None, model: str) -> str:
    from regard.saved.named import folder_name

    if prompt is not None:
        return f"explained-{folder_name(prompt, 0)}"
    stem = folder_name(f"{image.stem if image else ''} {Path(model).name}", 0)
    return f"explained-{stem.removesuffix('-seed0')}"
