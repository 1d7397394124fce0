"""``regard look`` and ``regard words``."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.polite import bar, tell
from regard.errors import ArgumentError

KEEP = "step,layer,head"


def look(
    prompt: Annotated[str | None, typer.Argument(help="What to draw.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="A picture to look at, instead of drawing one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default named after the prompt.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A bundled model, or a folder: of diffusers, or of a vision transformer for "
            "--image. By default openmoji, for pictures fashion-vit."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first noise.")] = 0,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 30,
    guidance: Annotated[
        float, typer.Option(help="Classifier-free guidance; up to 1 is off.")
    ] = 4.0,
    negative: Annotated[str, typer.Option(help="What to keep away from.")] = "",
    size: Annotated[
        str | None, typer.Option(help="Pixels a side, or ROWSxCOLUMNS; by default the model's.")
    ] = None,
    words: Annotated[
        str | None, typer.Option(help="Keep only these words, such as 'cat,car'.")
    ] = None,
    keep: Annotated[str, typer.Option(help="Axes to keep; the others are averaged.")] = KEEP,
    prove: Annotated[
        bool, typer.Option("--prove", help="Make the image again without each word.")
    ] = False,
    queries: Annotated[
        str | None,
        typer.Option(help="Of a picture, keep only where these tokens look, such as 'cls'."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a look that is in the folder.")
    ] = False,
) -> None:
    """Draw from a prompt and see where each word was looked at; or look at a picture."""
    if image is not None:
        drawing = {
            "a prompt": prompt is not None,
            "--seed": seed != 0,
            "--steps": steps != 30,
            "--guidance": guidance != 4.0,
            "--negative": negative != "",
            "--words": words is not None,
            "--keep": keep != KEEP,
            "--prove": prove,
        }
        _refuse([name for name, given in drawing.items() if given])
        asked = None if queries is None else _listed(queries)
        _look_at(image, model or "fashion-vit", out, _size(size), asked, overwrite=overwrite)
        return
    if prompt is None:
        raise ArgumentError(
            "look: give a prompt, such as 'a cat on the beach', or a picture with --image PICTURE."
        )
    if queries is not None:
        raise ArgumentError(
            "look: --queries is for a picture. Name one with --image, or choose --words."
        )
    from regard.look import check_folder
    from regard.look import look as draw
    from regard.look.settings import Settings
    from regard.zoo.memory import keep_memory

    sides = _size(size)
    Settings(prompt, negative, seed, steps, guidance, sides)  # a mistake is told at once
    folder = out or Path(folder_name(prompt, seed))
    check_folder(folder, overwrite=overwrite)
    keep_memory()  # the process is ours, and ends with this look
    with bar("looking") as advance:
        seen = draw(
            model or "openmoji",
            prompt,
            seed=seed,
            steps=steps,
            guidance=guidance,
            words=None if words is None else _listed(words),
            keep=_listed(keep),
            negative_prompt=negative,
            size=sides,
            prove=prove,
            progress=advance,
        )
    seen.save(folder, overwrite=overwrite)
    if seen.cut:
        tell(f"the prompt is longer than the text encoder takes; it was cut before: '{seen.cut}'.")
    typer.echo(text_of(seen.trace.words()))
    typer.echo(f"\nWrote {folder}. Open {folder / 'page.html'} in a browser.")


def _refuse(given: list[str]) -> None:
    if given:
        raise ArgumentError(
            f"look: {given[0]} is for drawing, and --image looks at a picture that is there. "
            f"Leave one of them away."
        )


def _look_at(
    image: Path,
    model: str,
    out: Path | None,
    size: tuple[int, int] | None,
    queries: list[str] | None,
    *,
    overwrite: bool,
) -> None:
    from regard.look import check_folder, look_at

    folder = out or Path(f"{_stem(image.stem)}-{_stem(Path(model).name)}")
    check_folder(folder, overwrite=overwrite)
    seen = look_at(model, image, size=size, queries=queries)
    seen.save(folder, overwrite=overwrite)
    recipe = seen.trace.recipe
    if recipe["interpolated"]:
        how = recipe["interpolation"]
        tell(
            f"positions were interpolated from {how['from'][0]}x{how['from'][1]} to "
            f"{how['to'][0]}x{how['to'][1]} patches: off the grid of the training."
        )
    for label, share in recipe["prediction"]:
        typer.echo(f"{label:<24}{share:.3f}")
    typer.echo(f"Wrote {folder}. Open {folder / 'page.html'} in a browser.")


def words(
    trace: Annotated[Path, typer.Argument(help="A trace.zarr that regard look wrote.")],
) -> None:
    """Show what each word of a saved trace counts for."""
    from regard.trace import Trace

    found = Trace.load(trace)
    typer.echo(found.recipe.get("prompt", ""))
    typer.echo(text_of(found.words()))


def folder_name(prompt: str, seed: int) -> str:
    """The folder that a look is written to if none is named.

    Example:
        >>> folder_name("A cat and a blue car", 0)
        'a-cat-and-a-blue-car-seed0'
    """
    return f"{_stem(prompt)}-seed{seed}"


def _stem(text: str) -> str:
    # File systems take 255 bytes, and a letter may be four of them.
    return re.sub(r"[\W_]+", "-", text.casefold())[:50].strip("-") or "look"


def text_of(table: Any) -> str:
    """A table of words for the terminal."""
    shown = table.drop(columns=["role", "duplicate_of"]).rename(columns={"word": ""})
    formats = {
        "mass": "{:.1%}",
        "entropy": "{:.3f}",
        "pixel_distance": "{:.4f}",
        "pad_pixel_distance": "{:.4f}",
        "clip_similarity": "{:.3f}",
        "pad_clip_similarity": "{:.3f}",
    }
    formatters = {name: formats[name].format for name in shown if name in formats}
    return str(shown.to_string(index=False, formatters=formatters, na_rep="-"))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip())
    if found is None:
        raise ArgumentError(
            f"look: size is '{text}' and must be pixels a side, such as 64, or 64x128."
        )
    return int(found[1]), int(found[2] or found[1])
