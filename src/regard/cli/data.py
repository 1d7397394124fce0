"""``regard data scenes``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.polite import bar
from regard.errors import unknown

SHOWN = 32
"""Scenes on the contact sheet: four rows of eight, which one looks over in a minute."""

data = typer.Typer(help="Make data sets.", no_args_is_help=True)


@data.callback()
def _data() -> None:
    pass


@data.command()
def scenes(
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist yet.")],
    count: Annotated[int, typer.Option(help="How many.")] = 1000,
    seed: Annotated[int, typer.Option(help="Names the data set.")] = 0,
    size: Annotated[
        int | None, typer.Option(help="Pixels a side; by default 64, or 128 of version 2.")
    ] = None,
    split: Annotated[str, typer.Option(help="train or test.")] = "train",
    version: Annotated[
        int, typer.Option(help="2: sizes, counts, occlusion and textures, at 128 or 256 pixels.")
    ] = 1,
) -> None:
    """Make scenes with captions and masks in the layout of COCO, and a contact sheet."""
    from regard.data.coco import write_coco

    if split not in ("train", "test"):
        raise unknown("split", split, ["train", "test"])
    if version not in (1, 2):
        raise unknown("version of scenes", str(version), ["1", "2"])
    how: dict[str, Any] = {"seed": seed, "size": size, "split": split, "version": version}
    sheet = _sheet(min(count, SHOWN), **how) if count > 0 else None
    with bar("drawing") as advance:
        write_coco(
            out,
            count,
            **how,
            on_scene=lambda done: advance(done, count),
            finish=lambda folder: sheet.save(folder / "contact-sheet.png"),
        )
    typer.echo(f"Wrote {count} scenes to {out}. Look at {out / 'contact-sheet.png'}.")


def _sheet(count: int, **options: Any) -> Any:
    from regard.data.scenes import scene
    from regard.views.sheet import contact_sheet

    shown = [scene(index, **options) for index in range(count)]
    return contact_sheet([each.image for each in shown], [each.caption() for each in shown])
