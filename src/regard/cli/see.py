"""``regard look`` and ``regard words``."""

import re
import textwrap
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from regard.cli.options import Guidance, Seed, Steps
from regard.cli.polite import at_once, bar, tell
from regard.errors import ArgumentError

# Options of drawing have None for a default, so that what was given can be told from what was not;
# `regard.look` knows the defaults. They stand in the help too, for it must not load that room.
Prompt = Annotated[str | None, typer.Argument(help="What to draw.")]
Image = Annotated[Path | None, typer.Option(help="A picture to look at, instead of drawing one.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder to write; by default named after the prompt.")
]
Model = Annotated[
    str | None,
    typer.Option(
        help="A bundled model, or a folder: of diffusers, or of a vision transformer for "
        "--image. By default openmoji, for pictures fashion-vit."
    ),
]
Negative = Annotated[str | None, typer.Option(help="What to keep away from; by default nothing.")]
Size = Annotated[
    str | None, typer.Option(help="Pixels a side, or ROWSxCOLUMNS; by default the model's.")
]
Words = Annotated[
    str | None, typer.Option(help="Keep only these words, such as 'cat,car'; by default all.")
]
Keep = Annotated[
    str | None,
    typer.Option(help="Axes to keep, by default step,layer,head; the others are averaged."),
]
Carriers = Annotated[
    bool | None,
    typer.Option(
        "--carriers/--own-token",
        help="Show a word at the token after it too, or only at its own; by default as measured "
        "for the model.",
    ),
]
Prove = Annotated[
    bool, typer.Option("--prove", help="Generate the image again with each word hidden.")
]
Seeds = Annotated[
    int | None,
    typer.Option(help="Prove at this many seeds, the first of which is --seed; by default 1."),
]
Queries = Annotated[
    str | None,
    typer.Option(
        help="Of a picture, keep only where these tokens look, such as 'cls'; by default all."
    ),
]
Scale = Annotated[
    Literal["each", "shared"],
    typer.Option(
        help="Colours of heat maps: 'each' has a scale of its own, or one is 'shared' by all."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a look that is in the folder.")
]


def look(
    prompt: Prompt = None,
    image: Image = None,
    out: Out = None,
    model: Model = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = None,
    size: Size = None,
    words: Words = None,
    keep: Keep = None,
    carriers: Carriers = None,
    prove: Prove = False,
    seeds: Seeds = None,
    queries: Queries = None,
    scale: Scale = "each",
    overwrite: Overwrite = False,
) -> None:
    """Draw from a prompt and see where each word was looked at; or look at a picture."""
    at_once(f"opening {model or ('openmoji' if image is None else 'fashion-vit')}")
    if image is not None:
        drawing = {"a prompt": prompt, "--seed": seed, "--steps": steps, "--guidance": guidance}
        drawing |= {"--negative": negative, "--words": words, "--keep": keep}
        drawing |= {"--carriers": carriers, "--prove": prove or None, "--seeds": seeds}
        _refuse([name for name, value in drawing.items() if value is not None])
        asked = None if queries is None else _listed(queries)
        _look_at(image, model or "fashion-vit", out, _size(size), asked, scale, overwrite=overwrite)
        return
    if prompt is None:
        raise ArgumentError(
            "look: give a prompt, such as 'a cat on the beach', or a picture with --image PICTURE."
        )
    if queries is not None:
        raise ArgumentError(
            "look: --queries is for a picture. Name one with --image, or choose --words."
        )
    settings = _settings(
        prompt,
        negative_prompt=negative,
        seed=seed,
        steps=steps,
        guidance=guidance,
        size=_size(size),
    )
    tried = _seeds(seeds, prove=prove)
    kept = {"words": words, "keep": keep, "carriers": carriers}
    _draw(settings, model or "openmoji", out, kept, scale, prove=tried, overwrite=overwrite)


def _refuse(given: list[str]) -> None:
    """Refuse what is for drawing, each by its name, where a picture is looked at."""
    if not given:
        return
    *others, last = given
    named = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    raise ArgumentError(
        f"look: {named} for drawing, and --image looks at a picture that is there. "
        f"Leave {'these or --image' if others else 'one of them'} away."
    )


def _settings(prompt: str, **given: Any) -> Any:
    """What decides the image, with the defaults of `Settings` for what was not given."""
    from regard.look.settings import Settings

    return Settings(prompt, **{name: value for name, value in given.items() if value is not None})


def _draw(
    settings: Any,
    model: str,
    out: Path | None,
    kept: dict[str, Any],
    scale: str,
    *,
    prove: int,
    overwrite: bool,
) -> None:
    from regard.look.output import FOLDER
    from regard.zoo.memory import keep_memory

    folder = out or Path(folder_name(settings.prompt, settings.seed))
    keep_memory()  # the process is ours, and ends with this look
    with FOLDER.claim(folder, overwrite=overwrite):
        seen = _made(settings, model, kept, prove)
        seen.save(folder, overwrite=overwrite, scale=scale)
    if seen.cut:
        tell(f"the prompt is longer than the text encoder takes; it was cut before: '{seen.cut}'.")
    if seen.trace.recipe["void"]:
        tell(f"the image shows nothing: {seen.trace.recipe['void']}.")
    partly = seen.trace.recipe["partly_cut"]
    if partly != seen.cut:
        tell(
            f"the prompt is longer than one of the text encoders takes, and only the other read on "
            f"from: '{partly}'."
        )
    typer.echo(text_of(seen.trace.words()))
    if prove:
        typer.echo(f"\n{_wrapped(seen.trace.recipe['proof'])}")
    typer.echo(f"\nHeat maps: {shown_as(seen.trace)}.")
    typer.echo(f"Wrote {folder}. Open {folder / 'page.html'} in a browser.")


def _seeds(seeds: int | None, *, prove: bool) -> int:
    """At how many seeds to prove; 0 for no proof."""
    if seeds is not None and seeds < 1:
        raise ArgumentError(
            f"look: --seeds is {seeds} and must be 1 or more; 5 show whether seeds agree."
        )
    return int(prove) if seeds is None else seeds


def _proved(pipeline: Any, seen: Any, seeds: int) -> Any:
    """The same look with its words judged, under a bar of its own."""
    from regard.look import prove

    with bar("hiding words") as advance:
        return seen.with_proof(prove(pipeline, seen, seeds=seeds, progress=advance))


def _made(settings: Any, model: str, kept: dict[str, Any], prove: int) -> Any:
    """The look, with the proof that was asked for."""
    from regard.look import look as draw
    from regard.look.generate import opened
    from regard.look.observe import KEEPABLE

    pipeline = opened(model)
    with bar("looking") as advance:
        seen = draw(
            pipeline,
            settings.prompt,
            seed=settings.seed,
            steps=settings.steps,
            guidance=settings.guidance,
            words=None if kept["words"] is None else _listed(kept["words"]),
            keep=KEEPABLE if kept["keep"] is None else _listed(kept["keep"]),
            carriers=kept["carriers"],
            negative_prompt=settings.negative_prompt,
            size=settings.size,
            progress=advance,
        )
    return _proved(pipeline, seen, prove) if prove else seen


def _look_at(
    image: Path,
    model: str,
    out: Path | None,
    size: tuple[int, int] | None,
    queries: list[str] | None,
    scale: str,
    *,
    overwrite: bool,
) -> None:
    from regard.look import look_at
    from regard.look.output import FOLDER

    folder = out or Path(f"{_stem(image.stem)}-{_stem(Path(model).name)}")
    with FOLDER.claim(folder, overwrite=overwrite):
        seen = look_at(model, image, size=size, queries=queries)
        seen.save(folder, overwrite=overwrite, scale=scale)
    recipe = seen.trace.recipe
    if recipe["interpolated"]:
        how = recipe["interpolation"]
        tell(
            f"positions were interpolated from {how['from'][0]}x{how['from'][1]} to "
            f"{how['to'][0]}x{how['to'][1]} patches: off the grid of the training."
        )
    for label, share in recipe["prediction"]:
        typer.echo(f"{label:<24}{share:.3f}")
    for line in artefacts_of(seen.trace):
        typer.echo(line)
    typer.echo(f"Wrote {folder}. Open {folder / 'page.html'} in a browser.")


def artefacts_of(trace: Any) -> list[str]:
    """Sinks and tokens of outsized norm, a line each where there are any."""
    from regard.views.scale import scale_of

    query = trace.queries[0]
    own = [name for name, each in trace.weights.items() if each.attrs["kind"] == "self"]
    scales = {name: scale_of(trace.attention(query, layers=[name])) for name in own}
    sunk = {name: scale for name, scale in scales.items() if scale.sinks}
    lines = []
    if sunk:
        name = max(sunk, key=lambda each: sunk[each].sinks[0][2] / sunk[each].top)
        more = f"; {len(sunk) - 1} more layers have some" if len(sunk) > 1 else ""
        lines.append(f"Where {query} looks in {name}, {sunk[name].said}{more}.")
    outliers = trace.recipe.get("norm_outliers") or {}
    counts = Counter(token for tokens in outliers.values() for token in tokens)
    if counts:
        named = "; ".join(f"{token} in {count}" for token, count in counts.most_common(3))
        more = f"; {len(counts) - 3} more tokens" if len(counts) > 3 else ""
        lines.append(f"Norm outliers: {named} of {len(own)} layers{more}.")
    return lines


def words(
    trace: Annotated[Path, typer.Argument(help="A trace.zarr that regard look wrote.")],
) -> None:
    """Show what each word of a saved trace counts for."""
    from regard.measures.words import unclaimed
    from regard.trace import Trace

    found = Trace.load(trace)
    typer.echo(found.recipe.get("prompt", ""))
    typer.echo(text_of(unclaimed(found.words())))
    if found.recipe.get("proof"):
        typer.echo(f"\n{_wrapped(found.recipe['proof'])}")


def folder_name(prompt: str, seed: int) -> str:
    """The folder that a look is written to if none is named.

    Example:
        >>> folder_name("A cat and a blue car", 0)
        'a-cat-and-a-blue-car-seed0'
    """
    return f"{_stem(prompt)}-seed{seed}"


def _stem(text: str) -> str:
    # File systems take 255 bytes, a letter may be four of them, and two stems make a name.
    plain = re.sub(r"[\W_]+", "-", text.casefold())[:50]
    return plain.encode()[:100].decode(errors="ignore").strip("-") or "look"


def shown_as(trace: Any) -> str:
    """Which maps of words are shown first, in words, and why these.

    Example:
        >>> from regard.trace import toy_trace
        >>> shown_as(toy_trace())
        'each word at its own tokens, in all layers'
    """
    reading = trace.reading
    tokens = "its own and the next token" if reading["carriers"] else "its own tokens"
    layers = f"layers {', '.join(reading['layers'])}" if reading["layers"] else "all layers"
    why = (trace.recipe.get("reading") or {}).get("why")
    return f"each word at {tokens}, in {layers}" + (f" ({why})" if why else "")


COLUMNS = {
    "word": "",
    "mass": "mass",
    "entropy": "entropy",
    "distance": "change",
    "pixel_distance": "pixels",
    "seen": "seen",
    "redundant_share": "redundant at",
    "share": "95 %",
    "suspicion": "by the maps",
    "verdict": "verdict",
}
"""What the columns that the terminal shows are called there."""

LEFT = ("word", "seen", "suspicion", "verdict")
"""Columns of text."""


def text_of(table: Any) -> str:
    """A table of words for the terminal: what the maps say, then what a proof says of each word.

    Each change stands beside the threshold that it is held to, as in ``0.273 > 0.100``.
    """
    if "seeds" not in table:
        return _columns(table, ["word", "mass", "entropy", "verdict"])
    maps = table[table["role"] != "together"]
    proof = table[table["seeds"].notna()].copy()
    for name, limit in (("distance", "threshold"), ("pixel_distance", "pixel_threshold")):
        pairs = zip(proof[name], proof[limit], strict=True)
        proof[name] = [_held(value, against) for value, against in pairs]
    share = zip(proof["share_low"], proof["share_high"], strict=True)
    proof["share"] = [f"{low:.0%}-{high:.0%}" for low, high in share]
    several = ["redundant_share", "share"] if (proof["seeds"] > 1).any() else []
    shown = [name for name in ("distance", "seen") if proof[name].ne("").any()]
    first = _columns(maps, ["word", "mass", "entropy", "suspicion"])
    second = _columns(proof, ["word", *shown, "pixel_distance", *several, "verdict"])
    return f"{first}\n\nwith the word hidden:\n{second}"


def _held(value: float, against: float) -> str:
    if value != value:
        return ""
    return f"{value:.3f} {'>' if value > against else '<'} {against:.3f}"


def _columns(table: Any, names: list[str]) -> str:
    columns = [[COLUMNS[name], *(_cell(name, value) for value in table[name])] for name in names]
    wide = [max(map(len, column)) for column in columns]
    rows = zip(*columns, strict=True)
    return "\n".join(
        "  ".join(
            cell.ljust(size) if name in LEFT else cell.rjust(size)
            for name, cell, size in zip(names, row, wide, strict=True)
        ).rstrip()
        for row in rows
    )


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return "-"
    return f"{value:.3f}" if name == "entropy" else f"{value:.1%}"


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 100))


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
