"""``regard sweep``."""

import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.experiment import carry_out
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
from regard.errors import ArgumentError

SHOWN = 12
"""Rows of the summary that the terminal gets; all are in summary.csv."""


def sweep(
    over: Annotated[str, typer.Argument(help="heads, layers, words or stages.")],
    prompts: Annotated[list[str] | None, typer.Argument(help="What to generate.")] = None,
    model: Annotated[str, typer.Option(help="A bundled model or a folder.")] = "openmoji",
    device: Device = "auto",
    dtype: Dtype = None,
    variant: Variant = None,
    config: Config = None,
    seeds: Annotated[int, typer.Option(help="Images of each prompt, from seed 0 on.")] = 2,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = None,
    height: Height = None,
    width: Width = None,
    during: Annotated[
        str | None, typer.Option(help="Steps without it, from 0, such as 0-9, 10- or 5.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Judge of images; by default that of bundled models.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default sweep-OVER.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a sweep that is in the folder.")
    ] = False,
) -> None:
    """Ablate each head, layer, word or stage, one at a time, and report which matter.

    Called again after an interruption, it goes on where it stopped.
    """
    from regard.experiments.sweep import SWEEP, checked
    from regard.experiments.sweep import sweep as run
    from regard.zoo.memory import keep_memory

    asked, _ = checked(prompts or [], over, seeds)  # a mistake is told before torch is loaded
    keep_memory()  # the process is ours, and ends with this
    sampling = given(
        num_inference_steps=steps,
        guidance_scale=guidance,
        negative_prompt=negative,
        height=height,
        width=width,
    )
    of = cache(partial(opened, model, device=device, dtype=dtype, variant=variant, config=config))
    drawn = {"seeds": seeds, "during": _span(during, steps, of), **sampling}
    carry_out(
        SWEEP,
        out or Path(f"sweep-{over}"),
        lambda **how: run(of(), asked, over, encoder=encoder, **drawn, **how),
        f"sweep over {over}",
        overwrite=overwrite,
        as_json=as_json,
        text_of=text_of,
    )


def _span(during: str | None, steps: int | None, of: Callable[[], Any]) -> Any:
    """The steps that ``--during`` names, of as many as the model takes if no number was given."""
    if during is None:
        return None
    if steps is None:
        from regard.models import TextToImage

        steps = TextToImage.of(of()).defaults["num_inference_steps"]
    return steps_of(during, steps)


def steps_of(text: str, steps: int) -> list[int]:
    """The first step and the one after the last, of '3', '0-9' or '10-'.

    Raises:
        ArgumentError: it is none of these.

    Example:
        >>> steps_of("10-", 30), steps_of("5", 30)
        ([10, 30], [5, 6])
    """
    found = re.fullmatch(r"(\d+)(-(\d*))?", text.strip())
    if found is None:
        raise ArgumentError(f"sweep: --during is '{text}' and must be such as 0-9, 10- or 5.")
    first = int(found[1])
    if found[2] is None:
        return [first, first + 1]
    return [first, int(found[3]) + 1 if found[3] else steps]


def text_of(found: Any) -> str:
    """The strongest rows for the terminal."""
    from regard.experiments.sweep_report import shown
    from regard.views.report import with_ends

    table = shown(found, SHOWN)
    about = [name for name in ("layer", "stage", "kind", "head", "word") if name in table]
    told = with_ends(table.drop(columns=about))
    lines = [told.to_string(index=False, float_format="{:.3f}".format, na_rep="-")]
    rest = found.table["ablation"].nunique() - len(told)
    lines += [f"... and {rest} more, in summary.csv."] if rest > 0 else []
    return "\n".join([*lines, *found.notes])
