"""Options that several commands have, said once."""

from typing import Annotated

import typer

Seed = Annotated[int | None, typer.Option(help="Seed of the initial noise; by default 0.")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps; by default 30.")]
Guidance = Annotated[
    float | None,
    typer.Option(help="Classifier-free guidance; by default 4.0, and up to 1 it is off."),
]
