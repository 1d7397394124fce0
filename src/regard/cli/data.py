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
    size: Annotated[int, typer.Option(help="Pixels a side: 64 or 128.")] = 64,
    split: Annotated[str, typer.Option(help="train or test.")] = "train",
) -> None:
    """Make scenes with captions and masks in the layout of COCO, and a contact sheet."""
    from regard.data.coco import write_coco

    if split not in ("train", "test"):
        raise unknown("split", split, ["train", "test"])
    sheet = _sheet(min(count, SHOWN), seed=seed, size=size, split=split) if count > 0 else None
    with bar("drawing") as advance:
        write_coco(
            out,
            count,
            seed=seed,
            size=size,
            split=split,  # type: ignore[arg-type]  # one of the two, as was checked
            on_scene=lambda done: advance(done, count),
            finish=lambda folder: sheet.save(folder / "contact-sheet.png"),
        )
    typer.echo(f"Wrote {count} scenes to {out}. Look at {out / 'contact-sheet.png'}.")


def _sheet(count: int, **options: Any) -> Any:
    from regard.data.scenes import scene
    from regard.views.sheet import contact_sheet

    shown = [scene(index, **options) for index in range(count)]
    return contact_sheet([each.image for each in shown], [each.caption() for each in shown])
