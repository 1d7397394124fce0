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


def given(**options: Any) -> dict[str, Any]:
    """The options that were given.

    Example:
        >>> given(seed=0, height=None)
        {'seed': 0}
    """
    return {name: value for name, value in options.items() if value not in (None, [], {})}
