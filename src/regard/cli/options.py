"""Options that several commands have, said once.

Options of a generation have None for a default, so that what was given is known from what was
not; the model knows its own numbers.
"""

from typing import Annotated, Any

import typer

Seed = Annotated[int | None, typer.Option(help="Seed of the initial noise; by default 0.")]
Steps = Annotated[
    int | None,
    typer.Option("--num-inference-steps", help="Denoising steps; by default the model's own."),
]
Guidance = Annotated[
    float | None,
    typer.Option(
        "--guidance-scale",
        help="Weight of classifier-free guidance, up to 1 is off; by default the model's own.",
    ),
]
Negative = Annotated[
    str | None, typer.Option("--negative-prompt", help="What to guide away from; by default empty.")
]
Height = Annotated[
    int | None, typer.Option(help="Rows of the image in pixels; by default the model's own.")
]
Width = Annotated[
    int | None, typer.Option(help="Columns of the image in pixels; by default the model's own.")
]
Device = Annotated[
    str, typer.Option(help="Where to put the model: auto, cpu, cuda, cuda:1; auto takes a GPU.")
]
Dtype = Annotated[
    str | None,
    typer.Option(help="Its numbers: float32 (the default), float16 or bfloat16."),
]
Variant = Annotated[
    str | None, typer.Option(help="Which of several files of weights to read, such as fp16.")
]
Config = Annotated[
    str | None,
    typer.Option(
        help="For a model in a single file: the folder or identifier of a pipeline of its kind."
    ),
]


def given(**options: Any) -> dict[str, Any]:
    """The options that were given.

    Example:
        >>> given(seed=0, height=None)
        {'seed': 0}
    """
    return {name: value for name, value in options.items() if value not in (None, [], {})}


def opened(model: Any, **placement: Any) -> Any:
    """A model by its name, folder or identifier, placed as the options say.

    Raises:
        RegardError: what `regard.load` raises.
    """
    from regard.models import load

    return load(model, **placement)


def listed(text: str) -> list[str]:
    """The parts of a list with commas.

    Example:
        >>> listed("cat, car,")
        ['cat', 'car']
    """
    return [part.strip() for part in text.split(",") if part.strip()]
