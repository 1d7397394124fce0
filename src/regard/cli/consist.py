"""``regard consist``: one subject in several scenes."""

from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.experiment import carry_out
from regard.cli.options import Device, Dtype, Guidance, Height, Seed, Steps, Width, given, opened


def consist(
    more: Annotated[
        list[str] | None,
        typer.Argument(help="Further scenes, and settings of the method, KEY=VALUE."),
    ] = None,
    subject: Annotated[str, typer.Option(help="What is in all scenes.")] = "",
    scenes: Annotated[
        list[str] | None,
        typer.Option("--scenes", "--scene", help="Where it is: two or more."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="consistory, svd, share, or none for independent images.")
    ] = "consistory",
    anchors: Annotated[
        int, typer.Option(help="How many of the first scenes others attend to.")
    ] = 2,
    model: Annotated[str, typer.Option(help="A bundled model or a folder.")] = "openmoji",
    device: Device = "auto",
    dtype: Dtype = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    height: Height = None,
    width: Width = None,
    encoder: Annotated[
        str | None, typer.Option(help="Of images: a bundled model or a folder.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("consist"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a result that is in the folder.")
    ] = False,
) -> None:
    """Generate one subject in several scenes with shared attention, beside independent images.

    Example: regard consist --subject "a red balloon" --scenes "on the grass" "on the beach"
    "on the road" --method svd keys.share=0.05
    """
    from regard.experiments.consist import CONSIST, read_settings
    from regard.experiments.consist import consist as run
    from regard.zoo.memory import keep_memory

    places = [*(scenes or []), *(each for each in more or [] if "=" not in each)]
    told = read_settings(method, [each for each in more or [] if "=" in each])
    keep_memory()  # the process is ours, and ends with this
    sampling = given(
        seed=seed, num_inference_steps=steps, guidance_scale=guidance, height=height, width=width
    )

    def compute(**how: Any) -> Any:
        return run(
            opened(model, device=device, dtype=dtype), subject, places, method=method,
            settings=told, anchors=anchors, encoder=encoder, **sampling, **how,
        )  # fmt: skip

    carry_out(
        CONSIST,
        out,
        compute,
        "generating",
        cases=("scene", "scenes"),
        overwrite=overwrite,
        as_json=as_json,
        text_of=text_of,
    )


def text_of(found: Any) -> str:
    """The means of each way for the terminal, and what was not measured."""
    told = found.summary()
    wide = told.pivot(index="measure", columns="way", values="mean").reindex(found.measures)
    wide = wide[[way for way in found.recipe["ways"] if way in wide]]
    wide.index = wide.index.str.replace("_", " ")
    return "\n".join([wide.to_string(float_format="{:.3g}".format, na_rep="-"), *found.notes])
