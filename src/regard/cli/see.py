"""``regard look`` and ``regard words``."""

import re
import textwrap
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from regard.arguments import speaking
from regard.cli.options import (
    Config,
    Device,
    Dtype,
    Guidance,
    Height,
    Negative,
    Seed,
    Steps,
    Variant,
    Width,
    given,
    opened,
)
from regard.cli.polite import at_once, bar, tell
from regard.errors import ArgumentError

Prompt = Annotated[str | None, typer.Argument(help="What to generate.")]
Image = Annotated[Path | None, typer.Option(help="An image to look at, instead of generating one.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder to write; by default named after the prompt.")
]
Model = Annotated[
    str | None,
    typer.Option(
        help="A bundled model, or a folder: of diffusers, or of a vision transformer for "
        "--image. By default openmoji, for images fashion-vit."
    ),
]
Size = Annotated[
    str | None,
    typer.Option(help="Of --image: pixels a side, or ROWSxCOLUMNS; by default the model's own."),
]
Words = Annotated[
    str | None, typer.Option(help="Keep only these words, such as 'cat,car'; by default all.")
]
Keep = Annotated[
    str | None,
    typer.Option(help="Axes to keep, by default step,layer,head; the others are averaged."),
]
Patches = Annotated[
    str | None,
    typer.Option(
        "--self-attention",
        help="Keep where these patches of the image attend: ROW,COLUMN, or a point such as "
        "'0.5,0.25', blanks between; or 'all'.",
    ),
]
PatchLayers = Annotated[
    str | None,
    typer.Option(
        "--self-attention-layers",
        help="In which layers, such as 'mid,up'; by default all.",
    ),
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
        help="Of an image, keep only where these tokens look, such as 'cls'; by default all."
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
    device: Device = "auto",
    dtype: Dtype = None,
    variant: Variant = None,
    config: Config = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = None,
    height: Height = None,
    width: Width = None,
    size: Size = None,
    words: Words = None,
    keep: Keep = None,
    self_attention: Patches = None,
    self_attention_layers: PatchLayers = None,
    carriers: Carriers = None,
    prove: Prove = False,
    seeds: Seeds = None,
    queries: Queries = None,
    scale: Scale = "each",
    overwrite: Overwrite = False,
) -> None:
    """Generate an image and see which regions attend to each word; or look at an image."""
    name = model or ("openmoji" if image is None else "fashion-vit")
    at_once(f"opening {name}")
    of = partial(opened, name, device=device, dtype=dtype, variant=variant, config=config)
    if image is not None:
        drawing = {"a prompt": prompt, "--seed": seed, "--num-inference-steps": steps}
        drawing |= {"--guidance-scale": guidance, "--negative-prompt": negative}
        drawing |= {"--height": height, "--width": width, "--words": words, "--keep": keep}
        drawing |= {"--self-attention": self_attention}
        drawing |= {"--self-attention-layers": self_attention_layers}
        drawing |= {"--carriers": carriers, "--prove": prove or None, "--seeds": seeds}
        _refuse([name for name, value in drawing.items() if value is not None])
        asked = None if queries is None else _listed(queries)
        folder = out or Path(f"{_stem(image.stem)}-{_stem(Path(name).name)}")
        _look_at(image, of, folder, _size(size), asked, scale, overwrite=overwrite)
        return
    if prompt is None:
        raise ArgumentError(
            "look: give a prompt, such as 'a cat on the beach', or an image with --image IMAGE."
        )
    if queries is not None:
        raise ArgumentError(
            "look: --queries is for an image. Name one with --image, or choose --words."
        )
    if size is not None:
        raise ArgumentError("look: --size is for --image. Give --height and --width instead.")
    sampling = given(
        negative_prompt=negative,
        seed=seed,
        num_inference_steps=steps,
        guidance_scale=guidance,
        height=height,
        width=width,
    )
    _check(prompt, sampling)
    tried = _seeds(seeds, prove=prove)
    patches = _patches(self_attention, self_attention_layers)
    kept = {"words": words, "keep": keep, "carriers": carriers, "self_attention": patches}
    made = partial(_made, prompt, sampling, of, kept, tried)
    folder = out or Path(folder_name(prompt, seed or 0))
    _generate(made, folder, scale, prove=tried, overwrite=overwrite)


def _refuse(options: list[str]) -> None:
    """Refuse what is for generating, each by its name, where an image is given."""
    if not options:
        return
    *others, last = options
    named = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    raise ArgumentError(
        f"look: {named} for generating, and --image takes an image that exists. "
        f"Leave out {'these or --image' if others else 'one of them'}."
    )


def _patches(text: str | None, layers: str | None) -> dict[str, Any] | None:
    """Of which patches self-attention is kept, as `look` takes it."""
    from regard.look.self_attention import patches_from

    if text is None:
        if layers is not None:
            raise ArgumentError(
                "look: --self-attention-layers needs --self-attention. Say of which patches, such "
                "as '0.5,0.5', or 'all'."
            )
        return None
    with speaking("look"):
        patches = patches_from(text)
    return {"patches": patches, "layers": None if layers is None else _listed(layers)}


def _check(prompt: str, sampling: dict[str, Any]) -> None:
    """Say at once what is wrong with the request, before anything slow is imported."""
    from regard.generation import Request

    Request.of(prompt, sampling)


def _generate(
    made: Callable[[], Any], folder: Path, scale: str, *, prove: int, overwrite: bool
) -> None:
    from regard.look.output import FOLDER
    from regard.zoo.memory import keep_memory

    keep_memory()  # the process is ours, and ends with this look
    with FOLDER.claim(folder, overwrite=overwrite):
        seen = made()
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


def _made(
    prompt: str,
    sampling: dict[str, Any],
    of: Callable[[], Any],
    kept: dict[str, Any],
    prove: int,
) -> Any:
    """The look, with the proof that was asked for under a bar of its own."""
    from regard.look import look as generate
    from regard.look import prove as hide
    from regard.look.asked import KEEPABLE

    model = of()
    with bar("looking") as advance:
        seen = generate(
            model,
            prompt,
            words=None if kept["words"] is None else _listed(kept["words"]),
            keep=KEEPABLE if kept["keep"] is None else _listed(kept["keep"]),
            self_attention=kept["self_attention"],
            carriers=kept["carriers"],
            progress=advance,
            **sampling,
        )
    if not prove:
        return seen
    with bar("hiding words") as advance:
        return seen.with_proof(hide(model, seen, seeds=prove, progress=advance))


def _look_at(
    image: Path,
    of: Callable[[], Any],
    folder: Path,
    size: tuple[int, int] | None,
    queries: list[str] | None,
    scale: str,
    *,
    overwrite: bool,
) -> None:
    from regard.look import look_at
    from regard.look.output import FOLDER

    with FOLDER.claim(folder, overwrite=overwrite):
        seen = look_at(of(), image, size=size, queries=queries)
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
    own = [name for name, each in trace.self_attention.items() if each.attrs["kind"] == "self"]
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
