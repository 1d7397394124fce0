"""``regard look`` and ``regard words``."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.polite import bar, tell
from regard.errors import ArgumentError


def look(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default named after the prompt.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="A bundled model, or a folder of diffusers.")
    ] = "openmoji",
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
    keep: Annotated[
        str, typer.Option(help="Axes to keep; the others are averaged.")
    ] = "step,layer,head",
    prove: Annotated[
        bool, typer.Option("--prove", help="Make the image again without each word.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a look that is in the folder.")
    ] = False,
) -> None:
    """Make an image from a prompt and see where each word was looked at."""
    from regard.look import check_folder
    from regard.look import look as look_at
    from regard.look.settings import Settings
    from regard.zoo.memory import keep_memory

    sides = _size(size)
    Settings(prompt, negative, seed, steps, guidance, sides)  # a mistake is told at once
    folder = out or Path(folder_name(prompt, seed))
    check_folder(folder, overwrite=overwrite)
    keep_memory()  # the process is ours, and ends with this look
    with bar("looking") as advance:
        seen = look_at(
            model,
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
    # File systems take 255 bytes, and a letter may be four of them.
    stem = re.sub(r"[\W_]+", "-", prompt.casefold())[:50].strip("-")
    return f"{stem or 'look'}-seed{seed}"


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
