"""``regard compare``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.experiment import carry_out
from regard.cli.options import Device, Dtype, Guidance, Height, Steps, Width, given, opened


def compare(
    models: Annotated[list[str], typer.Argument(help="Two or more: bundled models or folders.")],
    prompt: Annotated[
        list[str] | None, typer.Option(help="What to generate; several times for several.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A text file with a prompt in each line.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Images of each prompt, from seed 0 on.")] = 1,
    device: Device = "auto",
    dtype: Dtype = None,
    steps: Steps = None,
    guidance: Guidance = None,
    height: Height = None,
    width: Width = None,
    encoder: Annotated[
        str | None, typer.Option(help="Of images and texts: a bundled model or a folder.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("compare"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a comparison that is in the folder.")
    ] = False,
) -> None:
    """Generate the same prompts with several models, side by side, with verdicts and intervals.

    Without prompts: 64 that the bundled models were never trained on. Called again after an
    interruption, it goes on where it stopped.
    """
    from regard.experiments.compare import COMPARE
    from regard.experiments.compare import compare as run
    from regard.zoo.memory import keep_memory

    asked = [*(prompt or []), *(lines_of(prompts) if prompts else [])] or None
    keep_memory()  # the process is ours, and ends with this
    settings = given(num_inference_steps=steps, guidance_scale=guidance, height=height, width=width)

    def compute(**how: Any) -> Any:
        networks = [opened(each, device=device, dtype=dtype) for each in models]
        return run(networks, asked, seeds=seeds, encoder=encoder, **settings, **how)

    carry_out(
        COMPARE,
        out,
        compute,
        "generating",
        cases=("model, prompt and seed", "models, prompts and seeds"),
        overwrite=overwrite,
        as_json=as_json,
        text_of=text_of,
    )


def lines_of(file: Path) -> list[str]:
    """The lines of a text file that are not empty."""
    from regard.data.files import read_text

    return [line.strip() for line in read_text(file, who="compare").splitlines() if line.strip()]


def text_of(found: Any) -> str:
    """The means of all models for the terminal, and what was not measured."""
    from regard.experiments.contenders import across
    from regard.views.report import with_ends

    shown = with_ends(across(found.summary(), "model")).set_index("model").T
    shown.index = shown.index.str.replace("_", " ")
    return "\n".join([shown.to_string(float_format="{:.3g}".format, na_rep="-"), *found.notes])
