"""``regard score``."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.polite import bar, check_file, write_table


def score(
    images: Annotated[Path, typer.Argument(help="Folder of images.")],
    against: Annotated[
        Path | None, typer.Option(help="Folder of real images, or of another method's.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="What each image should show: CSV, or COCO's JSON.")
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="A bundled model, or a folder of transformers.")
    ] = "openmoji-clip",
    scale: Annotated[str, typer.Option(help="Of the CLIP score: cosine, 2.5 or 100.")] = "cosine",
    prefix: Annotated[str, typer.Option(help="Put before each prompt.")] = "",
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    csv: Annotated[
        Path | None, typer.Option(help="File to write the values of each image to.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write a report to, with tables and images.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace scores that are in the folder.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
) -> None:
    """Score images: with their prompts, against other images, with intervals."""
    from regard.data.captions import captions
    from regard.data.pictures import pictures
    from regard.experiments.score import check_numbers
    from regard.experiments.score_report import SCORE

    check_numbers(0.95, seed)
    # Folders and files first: a mistake is told before torch is loaded and images are encoded.
    if csv is not None:
        check_file(csv, who="score")
    if out is not None:
        SCORE.folder.check(out, overwrite=overwrite)
    ours = pictures(images)
    theirs = None if against is None else pictures(against)
    said = None if prompts is None else captions(prompts)
    from regard.experiments.score import score as compute

    how = {"encoder": encoder, "scale": scale, "prefix": prefix, "seed": seed}
    with bar("encoding") as advance:
        found = compute(ours, against=theirs, said=said, **how, progress=advance)
    if csv is not None:
        write_table(found.images, csv, who="score")
    if out is not None:
        found.save(out, overwrite=overwrite)
    typer.echo(json.dumps(found.to_json()) if as_json else text_of(found))
    if out is not None and not as_json:
        typer.echo(f"\nWrote {out}. Open {out / 'report.html'} in a browser.")


def text_of(found: Any) -> str:
    """The table for the terminal, with warnings and notes below it."""
    shown = found.table.drop(columns=["warning", "low", "high"])
    ends = zip(found.table["low"], found.table["high"], strict=True)
    interval = ["-" if low != low else f"{low:.4g} .. {high:.4g}" for low, high in ends]
    shown.insert(3, f"{found.recipe['level']:.0%} interval", interval)
    formatters = {"value": "{:.4g}".format, "p": "{:.2g}".format}
    lines = [shown.to_string(index=False, formatters=formatters, na_rep="-"), ""]
    rows = zip(found.table["measure"], found.table["warning"], strict=True)
    lines += [f"{name}: {warning}." for name, warning in rows if warning]
    lines += [f"{note[0].upper()}{note[1:]}." for note in found.notes]
    return "\n".join([*lines, f"Encoder: {found.recipe['encoder']}."])
