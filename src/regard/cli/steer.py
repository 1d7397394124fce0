"""``regard steer``."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.options import Guidance, Seed, Steps
from regard.cli.polite import bar
from regard.cli.see import folder_name
from regard.errors import ArgumentError

CALLED = {"steps": "during"}
"""Options that are not called as the setting is."""

# Options of drawing have None for a default, so that what was given can be told from what was not.
Prompt = Annotated[str | None, typer.Argument(help="What to draw.")]
Several = list[str] | None
Drop = Annotated[Several, typer.Option(help="Hide a word from the image; may be given again.")]
Scale = Annotated[
    Several, typer.Option(help="WORD=FACTOR of the attention it gets; again for more.")
]
Head = Annotated[
    Several, typer.Option(help="LAYER:HEAD=FACTOR of what a head puts out; 0 silences it.")
]
ScaleLayers = Annotated[
    float | None, typer.Option(help="Factor of what whole layers put out; 0 silences them.")
]
Temperature = Annotated[
    float | None, typer.Option(help="Above 1 attention spreads, below 1 it sharpens.")
]
Other = Annotated[
    Several,
    typer.Option(help="Another method with its own settings, such as uniform or shuffled."),
]
To = Annotated[
    str | None,
    typer.Option(help="Draw this prompt, with attention of the first: Prompt-to-Prompt."),
]
CrossSteps = Annotated[
    Several,
    typer.Option(
        help="Share of the steps in which words get the first prompt's attention, such as 0.8 or "
        "0.2-0.8; again as WORD=SHARE. By default 0.8."
    ),
]
SelfSteps = Annotated[
    str | None,
    typer.Option(help="Likewise for what patches get from patches; by default 0.4."),
]
Reweight = Annotated[
    Several, typer.Option(help="WORD=FACTOR of the attention of the first prompt; again for more.")
]
LocalBlend = Annotated[
    str | None,
    typer.Option(help="Words such as 'cat,dog': elsewhere the picture stays as it was."),
]
Mode = Annotated[
    str | None, typer.Option(help="replace or refine; by default by the number of words.")
]
Legacy = Annotated[
    bool, typer.Option("--legacy", help="Carry tokens over as the authors' code does.")
]
Words = Annotated[
    str | None, typer.Option(help="Words for --method, such as cat,dog for attend-and-excite.")
]
During = Annotated[
    str | None, typer.Option(help="Steps of the changes, from 0, such as 0-9, 10- or 5.")
]
Stage = Annotated[str | None, typer.Option(help="Only down, mid or up.")]
Layers = Annotated[
    str | None,
    typer.Option(
        help="Only these layers: a path or whole names in it, a kind, or a grid such as 16x16."
    ),
]
Kind = Annotated[str | None, typer.Option(help="Only self, cross or joint attention.")]
Condition = Annotated[
    str | None, typer.Option(help="Half of the guidance: cond, uncond or both; by default cond.")
]
Recipe = Annotated[Path | None, typer.Option(help="Do again what this recipe.json says, instead.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder to write; by default named after the prompt.")
]
Model = Annotated[
    str | None, typer.Option(help="A bundled model or a folder; by default openmoji.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a steering that is in the folder.")
]


def steer(
    prompt: Prompt = None,
    to: To = None,
    cross_steps: CrossSteps = None,
    self_steps: SelfSteps = None,
    reweight: Reweight = None,
    local_blend: LocalBlend = None,
    mode: Mode = None,
    legacy: Legacy = False,
    drop: Drop = None,
    scale: Scale = None,
    head: Head = None,
    scale_layers: ScaleLayers = None,
    temperature: Temperature = None,
    method: Other = None,
    words: Words = None,
    during: During = None,
    stage: Stage = None,
    layers: Layers = None,
    kind: Kind = None,
    condition: Condition = None,
    recipe: Recipe = None,
    out: Out = None,
    model: Model = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a prompt twice from the same noise, with attention changed the second time."""
    span = None if during is None else steps_of(during, 30 if steps is None else steps)
    where = _given(steps=span, stage=stage, layers=layers, kind=kind, condition=condition)
    of_prompt = _given(
        prompt=to, cross=cross_steps, self=self_steps, reweight=reweight, local_blend=local_blend,
        mode=mode, legacy=legacy or None,
    )  # fmt: skip
    changes = _given(
        drop=drop, scale=scale, scale_heads=head, scale_layers=scale_layers,
        temperature=temperature, method=method, words=words, prompt_to_prompt=of_prompt,
    )  # fmt: skip
    settings = _given(seed=seed, steps=steps, guidance=guidance)
    where_to = {"out": out, "overwrite": overwrite}
    if recipe is not None:
        if prompt is not None or changes or settings or where:
            raise ArgumentError(
                "steer: --recipe says what to draw and to change, and how. Leave the prompt and "
                "the changes away, --seed, --steps and --guidance too, or --recipe."
            )
        name = f"{recipe.absolute().parent.name}-again"
        _write(lambda: _again(model, recipe), name, **where_to)
        return
    if prompt is None or not changes:
        raise ArgumentError(
            "steer: give a prompt and at least one change, such as "
            "regard steer 'a cat and a car' --drop car."
        )
    name = f"{folder_name(prompt, settings.get('seed', 0))}-steered"
    _write(
        lambda: _drawn(model or "openmoji", prompt, _methods(prompt, changes, where), **settings),
        name,
        **where_to,
    )


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value not in (None, [], {})}


def _write(draw: Callable[[], Any], name: str, *, out: Path | None, overwrite: bool) -> None:
    """Draw, and write it into a folder that was found free before."""
    from regard.steering.output import FOLDER

    with FOLDER.claim(out or Path(name), overwrite=overwrite) as folder:
        steered = draw()
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


def _again(model: str | None, recipe: Path) -> Any:
    from regard.steering import replay
    from regard.steering.steer import read_recipe

    told = read_recipe(recipe)
    if model is None:  # the one that the recipe was made with
        model = told.get("model") if isinstance(told.get("model"), str) else "openmoji"
    return replay(model, told)


def _methods(prompt: str, given: dict[str, Any], asked: dict[str, Any]) -> list[Any]:
    """The methods that were asked for, in the order of the help."""
    import regard.methods as room

    made: list[Any] = []
    if "prompt_to_prompt" in given:
        settings = {"prompt": prompt, **_of_prompt(given["prompt_to_prompt"])}
        alone = asked if len(given) == 1 else {}
        made.append(_fitted(room.prompt_to_prompt, alone, **settings))
    if "drop" in given:
        made.append(_fitted(room.drop, asked, words=given["drop"]))
    if "scale" in given:
        made.append(_fitted(room.scale, asked, weights=_weights(given["scale"], "--scale")))
    for each in given.get("scale_heads", ()):
        layer, number, factor = _head(each)
        alone = {name: value for name, value in asked.items() if name in ("steps", "condition")}
        made.append(_fitted(room.scale_heads, alone, layer=layer, factors={number: factor}))
    if "scale_layers" in given:
        made.append(_fitted(room.scale_layers, asked, factor=given["scale_layers"]))
    if "temperature" in given:
        made.append(_fitted(room.temperature, asked, factor=given["temperature"]))
    makers = [room.methods.get(name) for name in given.get("method", ())]
    words = _words(makers, given.get("words"))
    for make in makers:
        made.append(_fitted(make, asked, **(words if _takes_words(make) else {})))
    return made


def _words(makers: Sequence[Callable[..., Any]], text: str | None) -> dict[str, Any]:
    """What --words says, as a setting of the methods that take some."""
    if text is None:
        return {}
    if not any(_takes_words(make) for make in makers):
        raise ArgumentError(
            f"steer: --words is '{text}', and no --method that was given takes words. Give one "
            f"that does, such as attend-and-excite."
        )
    return {"words": [word.strip() for word in text.split(",") if word.strip()]}


def _takes_words(make: Callable[..., Any]) -> bool:
    import inspect

    return "words" in inspect.signature(make).parameters


def _of_prompt(given: dict[str, Any]) -> dict[str, Any]:
    """The settings of Prompt-to-Prompt."""
    settings = dict(given)
    if "cross" in given:
        named = [each.rpartition("=") for each in given["cross"]]
        shares = {word or "default": _share(text, "--cross-steps") for word, _, text in named}
        settings["cross"] = shares if any(word for word, *_ in named) else shares["default"]
    if "self" in given:
        settings["self"] = _share(given["self"], "--self-steps")
    if "reweight" in given:
        settings["reweight"] = _weights(given["reweight"], "--reweight")
    if "local_blend" in given:
        settings["local_blend"] = [word.strip() for word in given["local_blend"].split(",")]
    return settings


def _share(text: str, option: str) -> float | list[float]:
    """The share of the steps that '0.8' or '0.2-0.8' stands for."""
    found = re.fullmatch(r"([\d.]+)(?:-([\d.]+))?", text.strip())
    try:
        shares = [] if found is None else [float(each) for each in found.groups() if each]
    except ValueError:
        shares = []
    if not shares:
        raise ArgumentError(
            f"steer: {option} is '{text}' and must be a share of the steps such as 0.8 or 0.2-0.8."
        )
    return shares if len(shares) == 2 else shares[0]


def _fitted(make: Callable[..., Any], where: dict[str, Any], **settings: Any) -> Any:
    """A method with the settings of layers and steps; those that it does not take are refused."""
    import inspect

    known = inspect.signature(make).parameters
    needed = [
        name
        for name, each in known.items()
        if each.default is inspect.Parameter.empty and name not in settings
    ]
    who = make.__name__.replace("_", "-")
    if needed == ["words"]:
        raise ArgumentError(f"steer: --method {who} needs --words, such as --words cat,dog.")
    if needed:
        raise ArgumentError(
            f"steer: --method {who} needs {', '.join(needed)}. Use its own option, or Python."
        )
    foreign = [name for name in where if name not in known]
    if foreign:
        raise ArgumentError(
            f"steer: {who} takes no --{CALLED.get(foreign[0], foreign[0])}. "
            f"It takes {', '.join(known)}."
        )
    return make(**settings, **where)


def _weights(texts: Sequence[str], option: str) -> dict[str, float]:
    """From words to factors, of 'car=2'."""
    weights = {}
    for text in texts:
        word, equals, factor = text.rpartition("=")
        if not equals or not word:
            raise ArgumentError(
                f"steer: {option} is '{text}' and must be WORD=FACTOR, such as car=2."
            )
        weights[word] = _number(factor, f"{option} {word}")
    return weights


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
