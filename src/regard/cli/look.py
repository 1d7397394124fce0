"""``regard look``: its options, and whether it is for a prompt or for an image."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from regard.cli.look_image import of_image
from regard.cli.look_prompt import of_prompts
from regard.cli.options import (
    Config,
    Device,
    Dtype,
    Guidance,
    Height,
    Negative,
    Steps,
    Variant,
    Width,
    given,
    opened,
)
from regard.cli.polite import at_once
from regard.errors import ArgumentError

Prompts = Annotated[
    list[str] | None,
    typer.Argument(help="What to generate; several prompts write a folder each below --out."),
]
Image = Annotated[Path | None, typer.Option(help="An image to look at, instead of generating one.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder to write; by default named after the prompt, of several 'looks'."),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option(help="Seed of the initial noise; by default 0. Again for more images."),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="A bundled model, or a folder: of diffusers, or of a vision transformer for "
        "--image. By default openmoji, for images fashion-vit."
    ),
]
Size = Annotated[
    str | None,
    typer.Option(help="Of --image: pixels a side, or ROWSxCOLUMNS; by default the model's own."),
]
Words = Annotated[
    str | None, typer.Option(help="Keep only these words, such as 'cat,car'; by default all.")
]
Keep = Annotated[
    str | None,
    typer.Option(help="Axes to keep, by default step,layer,head; the others are averaged."),
]
Patches = Annotated[
    str | None,
    typer.Option(
        "--self-attention",
        help="Keep where these patches of the image attend: ROW,COLUMN, or a point such as "
        "'0.5,0.25', blanks between; or 'all'.",
    ),
]
PatchLayers = Annotated[
    str | None,
    typer.Option(
        "--self-attention-layers",
        help="In which layers, such as 'mid,up'; by default all.",
    ),
]
Carriers = Annotated[
    bool | None,
    typer.Option(
        "--carriers/--own-token",
        help="Show a word at the token after it too, or only at its own; by default as measured "
        "for the model.",
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify", help="Check by leaving one word out: generate the image again with each masked."
    ),
]
VerifiedSeeds = Annotated[
    int | None,
    typer.Option(help="Verify at this many seeds, the first of which is --seed; by default 1."),
]
Queries = Annotated[
    str | None,
    typer.Option(
        help="Of an image, keep only where these tokens look, such as 'cls'; by default all."
    ),
]
Scale = Annotated[
    Literal["each", "shared"],
    typer.Option(
        help="Colours of heat maps: 'each' has a scale of its own, or one is 'shared' by all."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a look that is in the folder.")
]


def look(
    prompts: Prompts = None,
    image: Image = None,
    out: Out = None,
    model: Model = None,
    device: Device = "auto",
    dtype: Dtype = None,
    variant: Variant = None,
    config: Config = None,
    seed: Seeds = None,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = None,
    height: Height = None,
    width: Width = None,
    size: Size = None,
    words: Words = None,
    keep: Keep = None,
    self_attention: Patches = None,
    self_attention_layers: PatchLayers = None,
    carriers: Carriers = None,
    verify: Verify = False,
    seeds: VerifiedSeeds = None,
    queries: Queries = None,
    scale: Scale = "each",
    overwrite: Overwrite = False,
) -> None:
    """Generate an image and see which regions attend to each word; or look at an image."""
    name, of = _opening(model, image, device=device, dtype=dtype, variant=variant, config=config)
    target = {"out": out, "scale": scale, "overwrite": overwrite}
    of_prompt = given(
        seed=seed, num_inference_steps=steps, guidance_scale=guidance, negative_prompt=negative,
        height=height, width=width, words=words, keep=keep, self_attention=self_attention,
        self_attention_layers=self_attention_layers, carriers=carriers, verify=verify or None,
        seeds=seeds,
    )  # fmt: skip
    if image is not None:
        _refuse([*(["a prompt"] if prompts else []), *map(_option, of_prompt)])
        of_image(of, image, name, size, queries, **target)
    else:
        _check_no_image_options(prompts, size, queries)
        of_prompts(of, prompts or [], of_prompt, **target)


def _opening(
    model: str | None, image: Path | None, **placement: Any
) -> tuple[str, Callable[[], Any]]:
    """The name of the model, and what opens it."""
    name = model or ("openmoji" if image is None else "fashion-vit")
    at_once(f"opening {name}")
    return Path(name).name, partial(opened, name, **placement)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_no_image_options(
    prompts: list[str] | None, size: str | None, queries: str | None
) -> None:
    """Refuse what is for an image that exists, and a call without a prompt."""
    if not prompts:
        raise ArgumentError(
            "look: give a prompt, such as 'a cat on the beach', or an image with --image IMAGE."
        )
    if queries is not None:
        raise ArgumentError(
            "look: --queries is for an image. Name one with --image, or choose --words."
        )
    if size is not None:
        raise ArgumentError("look: --size is for --image. Give --height and --width instead.")


def _refuse(options: list[str]) -> None:
    """Refuse what is for generating, each by its name, where an image is given."""
    if not options:
        return
    *others, last = options
    named = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    raise ArgumentError(
        f"look: {named} for generating, and --image takes an image that exists. "
        f"Leave out {'these or --image' if others else 'one of them'}."
    )
