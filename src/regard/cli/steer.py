"""``regard steer``."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.polite import bar
from regard.cli.see import folder_name
from regard.errors import ArgumentError


def steer(
    prompt: Annotated[str | None, typer.Argument(help="What to draw.")] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Hide a word from the image; may be given again.")
    ] = None,
    scale: Annotated[
        list[str] | None, typer.Option(help="WORD=FACTOR of the attention it gets; again for more.")
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(help="LAYER:HEAD=FACTOR of what a head puts out; 0 silences it."),
    ] = None,
    scale_layers: Annotated[
        float | None, typer.Option(help="Factor of what whole layers put out; 0 silences them.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Above 1 attention spreads, below 1 it sharpens.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Another method with its own settings, such as uniform or shuffled."),
    ] = None,
    during: Annotated[
        str | None, typer.Option(help="Steps of the changes, from 0, such as 0-9, 10- or 5.")
    ] = None,
    place: Annotated[str | None, typer.Option(help="Only down, mid or up.")] = None,
    layers: Annotated[str | None, typer.Option(help="Only layers with this in their path.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only self, cross or joint attention.")] = None,
    condition: Annotated[
        str | None, typer.Option(help="Half of the guidance: cond (the default), uncond or both.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Do again what this recipe.json says, instead.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default named after the prompt.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A bundled model or a folder; by default openmoji.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the first noise; by default 0.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; by default 30.")] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Classifier-free guidance; by default 4.0, and up to 1 it is off."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a steering that is in the folder.")
    ] = False,
) -> None:
    """Draw a prompt twice from the same noise, with attention changed the second time."""
    from regard.steering import check_folder

    where = {
        "steps": None if during is None else steps_of(during, 30 if steps is None else steps),
        "place": place,
        "layers": layers,
        "kind": kind,
        "condition": condition,
    }
    changes = {
        "drop": drop,
        "scale": scale,
        "scale-heads": head,
        "scale-layers": scale_layers,
        "temperature": temperature,
        "method": method,
    }
    given = {name: value for name, value in changes.items() if value not in (None, [])}
    if recipe is not None:
        if prompt is not None or given or (seed, steps, guidance) != (None, None, None):
            raise ArgumentError(
                "steer: --recipe says what to draw and to change, and how. Leave the prompt and "
                "the changes away, --seed, --steps and --guidance too, or --recipe."
            )
        folder = check_folder(
            out or Path(f"{recipe.resolve().parent.name}-again"), overwrite=overwrite
        )
        steered = _again(model or "openmoji", recipe)
    else:
        if prompt is None or not given:
            raise ArgumentError(
                "steer: give a prompt and at least one change, such as "
                "regard steer 'a cat and a car' --drop car."
            )
        folder = check_folder(
            out or Path(f"{folder_name(prompt, seed)}-steered"), overwrite=overwrite
        )
        methods = _methods(given, where)
        settings = {"seed": seed, "steps": steps, "guidance": guidance}
        asked = {name: value for name, value in settings.items() if value is not None}
        steered = _drawn(model or "openmoji", prompt, methods, **asked)
    steered.save(folder, overwrite=overwrite)
    typer.echo(text_of(steered.table))
    typer.echo(f"\nWrote {folder}. Open {folder / 'page.html'} in a browser.")


def _drawn(model: str, prompt: str, methods: Sequence[Any], **settings: Any) -> Any:
    from regard.look.settings import Settings
    from regard.steering import steer as draw
    from regard.zoo.memory import keep_memory

    Settings(prompt, caller="steer", **settings)  # a mistake is told at once
    keep_memory()  # the process is ours, and ends with this
    with bar("steering") as advance:
        return draw(model, prompt, methods, progress=advance, **settings)


def _again(model: str, recipe: Path) -> Any:
    from regard.steering import replay

    return replay(model, recipe)


def _methods(given: dict[str, Any], where: dict[str, Any]) -> list[Any]:
    """The methods that were asked for, in the order of the help."""
    import regard.methods as room

    made: list[Any] = []
    asked = {name: value for name, value in where.items() if value is not None}
    if "drop" in given:
        made.append(_fitted(room.drop, asked, words=given["drop"]))
    if "scale" in given:
        made.append(_fitted(room.scale, asked, weights=dict(map(_weight, given["scale"]))))
    for each in given.get("scale-heads", ()):
        layer, number, factor = _head(each)
        alone = {name: value for name, value in asked.items() if name in ("steps", "condition")}
        made.append(_fitted(room.scale_heads, alone, layer=layer, factors={number: factor}))
    if "scale-layers" in given:
        made.append(_fitted(room.scale_layers, asked, factor=given["scale-layers"]))
    if "temperature" in given:
        made.append(_fitted(room.temperature, asked, factor=given["temperature"]))
    for name in given.get("method", ()):
        made.append(_fitted(room.methods.get(name), asked))
    return made


def _fitted(make: Callable[..., Any], where: dict[str, Any], **settings: Any) -> Any:
    """A method with the settings of place and time; those that it does not take are refused."""
    import inspect

    known = inspect.signature(make).parameters
    needed = [
        name
        for name, each in known.items()
        if each.default is inspect.Parameter.empty and name not in settings
    ]
    who = make.__name__.replace("_", "-")
    if needed:
        raise ArgumentError(
            f"steer: --method {who} needs {', '.join(needed)}. Use its own option, or Python."
        )
    foreign = [name for name in where if name not in known]
    if foreign:
        raise ArgumentError(
            f"steer: {who} takes no --{foreign[0]}. It takes {', '.join(k for k in known)}."
        )
    return make(**settings, **where)


def _weight(text: str) -> tuple[str, float]:
    word, equals, factor = text.rpartition("=")
    if not equals or not word:
        raise ArgumentError(f"steer: --scale is '{text}' and must be WORD=FACTOR, such as car=2.")
    return word, _number(factor, f"--scale {word}")


def _head(text: str) -> tuple[str, int, float]:
    found = re.fullmatch(r"(.+):(\d+)=(.+)", text)
    if found is None:
        raise ArgumentError(
            f"steer: --head is '{text}' and must be LAYER:HEAD=FACTOR, such as mid_block:0=0."
        )
    return found[1], int(found[2]), _number(found[3], f"--head {found[1]}:{found[2]}")


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(
            f"steer: the factor of {what} is '{text}' and must be a number."
        ) from None


def steps_of(text: str, steps: int, who: str = "steer") -> list[int]:
    """The first step and the one after the last, of '3', '0-9' or '10-'.

    Raises:
        ArgumentError: it is none of these.

    Example:
        >>> steps_of("10-", 30), steps_of("5", 30)
        ([10, 30], [5, 6])
    """
    found = re.fullmatch(r"(\d+)(-(\d*))?", text.strip())
    if found is None:
        raise ArgumentError(f"{who}: --during is '{text}' and must be such as 0-9, 10- or 5.")
    first = int(found[1])
    if found[2] is None:
        return [first, first + 1]
    return [first, int(found[3]) + 1 if found[3] else steps]


def text_of(table: Any) -> str:
    """What changed, for the terminal."""
    shown = table.drop(columns="unit")

    def told(value: Any) -> str:
        if isinstance(value, str):
            return value
        return "-" if value != value else f"{value:.4f}"

    for name in ("before", "after", "change"):
        shown[name] = shown[name].map(told)
    return str(shown.to_string(index=False))
