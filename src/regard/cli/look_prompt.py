"""``regard look PROMPT``: what is kept of a generated image, and what the terminal says of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from regard.arguments import speaking
from regard.cli.options import listed
from regard.cli.polite import bar, tell
from regard.cli.words import shown_as, text_of, wrapped
from regard.errors import ArgumentError
from regard.saved.named import folder_name


def of_prompts(
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
    lists = {name: listed(options[name]) for name in ("words", "keep") if name in options}
    return {**lists, "self_attention": patches, "carriers": options.get("carriers")}


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
    return {"patches": patches, "layers": None if layers is None else listed(layers)}


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
        typer.echo(f"\n{wrapped(recipe['verification'])}")
    typer.echo(f"\nHeat maps: {shown_as(seen.trace)}.")
