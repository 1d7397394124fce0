"""``regard benchmark``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.experiment import carry_out
from regard.cli.options import Config, Device, Dtype, Guidance, Steps, Variant, given, opened

benchmark = typer.Typer(
    help="Compare methods on prompts that everybody takes.", no_args_is_help=True
)


@benchmark.command("attend-and-excite")
def attend_and_excite(
    model: Annotated[str, typer.Option(help="A bundled model or a folder.")] = "openmoji",
    device: Device = "auto",
    dtype: Dtype = None,
    variant: Variant = None,
    config: Config = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method that takes words; several times for several."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Images of each prompt, from seed 0 on.")] = 4,
    steps: Steps = None,
    guidance: Guidance = None,
    encoder: Annotated[
        str, typer.Option(help="Of images and texts: a bundled model or a folder.")
    ] = "openmoji-clip",
    captioner: Annotated[
        str, typer.Option(help="A bundled model, a folder, or none.")
    ] = "openmoji-captioner",
    quick: Annotated[bool, typer.Option("--quick", help="Every twelfth prompt, one seed.")] = False,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("benchmark"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a benchmark that is in the folder.")
    ] = False,
) -> None:
    """Generate 276 prompts of two subjects, without and with methods, and count neglected subjects.

    Called again after an interruption, it goes on where it stopped.
    """
    from regard.experiments.benchmark import BENCHMARK, CONTENDERS, checked, quick_prompts
    from regard.experiments.benchmark import benchmark as run
    from regard.zoo.memory import keep_memory

    names = list(method or CONTENDERS)
    prompts = quick_prompts() if quick else None
    checked(prompts, names, seeds)  # a mistake is told before torch is loaded
    keep_memory()  # the process is ours, and ends with this
    drawn = {
        "seeds": 1 if quick else seeds,
        **given(num_inference_steps=steps, guidance_scale=guidance),
    }
    judges = {"encoder": encoder, "captioner": None if captioner == "none" else captioner}

    def compute(**how: Any) -> Any:
        network = opened(model, device=device, dtype=dtype, variant=variant, config=config)
        return run(network, methods=names, prompts=prompts, **drawn, **judges, **how)

    carry_out(
        BENCHMARK,
        out,
        compute,
        "generating",
        overwrite=overwrite,
        as_json=as_json,
        text_of=text_of,
    )


def text_of(found: Any) -> str:
    """The means of all sets for the terminal, and what was not measured."""
    from regard.experiments.benchmark_report import table_of
    from regard.views.report import with_ends

    shown = with_ends(table_of(found.summary())).set_index("method").T
    shown.index = shown.index.str.replace("_", " ")
    return "\n".join([shown.to_string(float_format="{:.3g}".format, na_rep="-"), *found.notes])
