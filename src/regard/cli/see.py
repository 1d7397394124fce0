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
    Steps,
    Variant,
    Width,
    given,
    opened,
)
from regard.cli.polite import at_once, bar, tell
from regard.errors import ArgumentError
from regard.saved.named import folder_name, stem

Prompts = Annotated[
    list[str] | None,
    typer.Argument(help="What to generate; several prompts write a folder each below --out."),
]
Image = Annotated[Path | None, typer.Option(help="An image to look at, instead of generating one.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder to write; by default named after the prompt, of several 'looks'."),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option(help="Seed of the initial noise; by default 0. Again for more images."),
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
Verify = Annotated[
    bool,
    typer.Option(
        "--verify", help="Check by leaving one word out: generate the image again with each masked."
    ),
]
VerifiedSeeds = Annotated[
    int | None,
    typer.Option(help="Verify at this many seeds, the first of which is --seed; by default 1."),
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
    prompts: Prompts = None,
    image: Image = None,
    out: Out = None,
    model: Model = None,
    device: Device = "auto",
    dtype: Dtype = None,
    variant: Variant = None,
    config: Config = None,
    seed: Seeds = None,
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
    verify: Verify = False,
    seeds: VerifiedSeeds = None,
    queries: Queries = None,
    scale: Scale = "each",
    overwrite: Overwrite = False,
) -> None:
    """Generate an image and see which regions attend to each word; or look at an image."""
    name, of = _opening(model, image, device=device, dtype=dtype, variant=variant, config=config)
    target = {"out": out, "scale": scale, "overwrite": overwrite}
    of_prompt = given(
        seed=seed, num_inference_steps=steps, guidance_scale=guidance, negative_prompt=negative,
        height=height, width=width, words=words, keep=keep, self_attention=self_attention,
        self_attention_layers=self_attention_layers, carriers=carriers, verify=verify or None,
        seeds=seeds,
    )  # fmt: skip
    if image is not None:
        _refuse([*(["a prompt"] if prompts else []), *map(_option, of_prompt)])
        _of_image(of, image, name, size, queries, **target)
    else:
        _check_no_image_options(prompts, size, queries)
        _of_prompts(of, prompts or [], of_prompt, **target)


def _opening(
    model: str | None, image: Path | None, **placement: Any
) -> tuple[str, Callable[[], Any]]:
    """The name of the model, and what opens it."""
    name = model or ("openmoji" if image is None else "fashion-vit")
    at_once(f"opening {name}")
    return Path(name).name, partial(opened, name, **placement)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_no_image_options(
    prompts: list[str] | None, size: str | None, queries: str | None
) -> None:
    """Refuse what is for an image that exists, and a call without a prompt."""
    if not prompts:
        raise ArgumentError(
            "look: give a prompt, such as 'a cat on the beach', or an image with --image IMAGE."
        )
    if queries is not None:
        raise ArgumentError(
            "look: --queries is for an image. Name one with --image, or choose --words."
        )
    if size is not None:
        raise ArgumentError("look: --size is for --image. Give --height and --width instead.")


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


def _of_prompts(
    of: Callable[[], Any],
    prompts: list[str],
    options: dict[str, Any],
    *,
    out: Path | None,
    scale: str,
    overwrite: bool,
) -> None:
    """Look at one prompt, or at several prompts or seeds."""
    from regard.generation import Sampling
    from regard.look import output, several
    from regard.look.asked import requests_of
    from regard.zoo.memory import keep_memory

    sampling = {name: options[name] for name in Sampling.__annotations__ if name in options}
    seeds = sampling.pop("seed", [0])
    sampling["seed"] = seeds[0] if len(seeds) == 1 else seeds
    prompt = prompts[0] if len(prompts) == 1 else prompts
    requests, many = requests_of(prompt, sampling)  # a mistake is told before torch is loaded
    kept = _kept(options) | {"verify": _verified_seeds(options)}
    keep_memory()  # the process is ours, and ends with this
    name = "looks" if many else folder_name(requests[0].prompt, requests[0].seed)
    kind, folder = several.FOLDER if many else output.FOLDER, out or Path(name)
    with kind.claim(folder, overwrite=overwrite):
        seen = _made(of, prompt, {**sampling, **kept})
        seen.save(folder, overwrite=overwrite, scale=scale)
    for each in seen if many else [seen]:
        _tell_of(each, named=many)
    page = "the page.html of each" if many else folder / "page.html"
    typer.echo(f"Wrote {folder}. Open {page} in a browser.")


def _kept(options: dict[str, Any]) -> dict[str, Any]:
    """What is kept of attention, as `look` takes it."""
    patches = _patches(options.get("self_attention"), options.get("self_attention_layers"))
    lists = {name: _listed(options[name]) for name in ("words", "keep") if name in options}
    return {**lists, "self_attention": patches, "carriers": options.get("carriers")}


def _verified_seeds(options: dict[str, Any]) -> int:
    """At how many seeds to leave words out; 0 for none."""
    seeds = options.get("seeds")
    if seeds is not None and seeds < 1:
        raise ArgumentError(
            f"look: --seeds is {seeds} and must be 1 or more; 5 show whether seeds agree."
        )
    return int("verify" in options) if seeds is None else int(seeds)


def _made(of: Callable[[], Any], prompt: str | list[str], options: dict[str, Any]) -> Any:
    from regard.look import look as generate

    with bar("looking") as advance:
        return generate(of(), prompt, progress=advance, **options)


def _tell_of(seen: Any, *, named: bool) -> None:
    """What one look found; with its prompt and seed before it where there are several."""
    recipe = seen.trace.recipe
    if named:
        typer.echo(f"{recipe['prompt']}, seed {recipe['seed']}")
    if seen.cut:
        tell(f"the prompt is longer than the text encoder takes; it was cut before: '{seen.cut}'.")
    if recipe["void"]:
        tell(f"the image shows nothing: {recipe['void']}.")
    partly = recipe["partly_cut"]
    if partly != seen.cut:
        tell(
            f"the prompt is longer than one of the text encoders takes, and only the other read on "
            f"from: '{partly}'."
        )
    typer.echo(text_of(seen.trace.words()))
    if seen.verification is not None:
        typer.echo(f"\n{_wrapped(recipe['verification'])}")
    typer.echo(f"\nHeat maps: {shown_as(seen.trace)}.")


def _of_image(
    of: Callable[[], Any],
    image: Path,
    model: str,
    size: str | None,
    queries: str | None,
    *,
    out: Path | None,
    scale: str,
    overwrite: bool,
) -> None:
    """Look at an image that exists."""
    from regard.look import look_at
    from regard.look.output import FOLDER

    asked = None if queries is None else _listed(queries)
    sides, folder = _size(size), out or Path(f"{stem(image.stem)}-{stem(model)}")
    with FOLDER.claim(folder, overwrite=overwrite):
        seen = look_at(of(), image, size=sides, queries=asked)
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
    note = found.recipe.get("verification") or found.recipe.get("proof")  # its name in older traces
    if note:
        typer.echo(f"\n{_wrapped(note)}")


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
    """A table of words for the terminal: what the maps say, then what leaving it out says.

    Each change stands beside the threshold that it is held to, as in ``0.273 > 0.100``.
    """
    if "seeds" not in table:
        return _columns(table, ["word", "mass", "entropy", "verdict"])
    maps = table[table["role"] != "together"]
    checked = table[table["seeds"].notna()].copy()
    for name, limit in (("distance", "threshold"), ("pixel_distance", "pixel_threshold")):
        pairs = zip(checked[name], checked[limit], strict=True)
        checked[name] = [_held(value, against) for value, against in pairs]
    share = zip(checked["share_low"], checked["share_high"], strict=True)
    checked["share"] = [f"{low:.0%}-{high:.0%}" for low, high in share]
    several = ["redundant_share", "share"] if (checked["seeds"] > 1).any() else []
    shown = [name for name in ("distance", "seen") if checked[name].ne("").any()]
    first = _columns(maps, ["word", "mass", "entropy", "suspicion"])
    second = _columns(checked, ["word", *shown, "pixel_distance", *several, "verdict"])
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
