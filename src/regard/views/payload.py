"""What the viewer is given: a trace as plain JSON values, maps as bytes in base64."""

from dataclasses import replace
from typing import Any

from regard.trace import Trace
from regard.trace.labels import PATCHES, WORDS
from regard.views.colour import colours
from regard.views.payload_patches import about_image, fitting, patches_side
from regard.views.payload_steps import ONE_LOOK, shown_layers, steps_of
from regard.views.payload_words import about_prompt, words_side
from regard.views.plain import (
    Side,
    base64_of,
    image_of,
    model_of,
    packed,
    parity_text,
    placed,
    recipe_rows,
)
from regard.views.tiles import BUDGET, fit_of


def payload(trace: Trace, *, budget: int = BUDGET) -> dict[str, Any]:
    """Everything that the viewer shows, as plain JSON values.

    Its ``kind`` says what the page is of: the ``words`` of a prompt, or the ``queries`` of an
    image. Its ``entries`` are words and patches, as each one's ``of`` says, and so are its
    ``layers``; what differs between the two is in ``sides``. Each entry has its column among the
    maps of these layers, which have a byte per patch and a range of their own.

    Args:
        trace: What was seen.
        budget: The most bytes that the maps may take, if averaging or leaving out can reach it.

    Returns:
        The entries with their text and evidence, the axes, the maps in base64, the table, the
        image and the recipe.

    Raises:
        ArgumentError: the layers of the trace have no step in common.

    Example:
        >>> from regard.trace import toy_trace, toy_vision
        >>> [payload(trace)["kind"] for trace in (toy_trace(), toy_vision())]
        ['words', 'queries']
    """
    sides, notices = _sides(trace, budget)
    recipe, of_words = trace.recipe, sides[0].of == WORDS
    about = about_prompt(trace) if of_words else about_image(recipe)
    first = next(iter(sides[0].layers.values()))
    return {
        "kind": "words" if of_words else "queries",
        **about,
        **packed([side.tiles for side in sides]),
        **next((side.more for side in sides if side.of == PATCHES), {}),
        "entries": [entry for side in sides for entry in side.entries],
        "layers": placed(sides),
        "sides": {
            side.of: {"groups": side.groups, "layer": side.first, "averaged": side.averaged}
            for side in sides
        },
        "carriers": trace.reading["carriers"],
        "steps": steps_of(first, sides[0].tiles) if of_words else ONE_LOOK,
        "notices": notices,
        "model": model_of(recipe),
        "run": [model_of(recipe), *about["run"]],
        "parity": parity_text(recipe.get("parity_error")),
        "cut": str(recipe.get("cut") or ""),
        "saved": "trace.zarr",
        "recipe": recipe_rows(recipe),
        "colours": base64_of(colours()),
        "image": image_of(trace.image),
    }


def _sides(trace: Trace, budget: int) -> tuple[list[Side], list[str]]:
    """The words and the patches of a page, averaged alike over steps; and what is said of it."""
    words, patches, notices = shown_layers(trace)
    each = budget // 2 if words and patches else budget
    make = words_side(trace, words) if words else None
    fit = fit_of(words, make.columns, each) if make else None
    asked, small = fitting(trace, patches, each, fit.group if fit else 1)
    if fit and asked:
        fit = replace(fit, group=small.group)
    sides = [make.side(fit)] if make and fit else []
    if asked:
        first = len(sides[0].entries) if sides else 0
        sides.append(patches_side(trace, patches, asked, small, first=first))
    said = dict.fromkeys(note for side in sides for note in side.notices)
    if patches and not asked:
        said["To keep this page small, patches are no queries in it."] = None
    return sides, [*notices, *said, *(["The trace has them all."] if said else [])]
