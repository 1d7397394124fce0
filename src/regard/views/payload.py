"""What the viewer is given: a trace as plain JSON values, maps as bytes in base64."""

from typing import Any

from regard.trace import Trace
from regard.views.colour import colours
from regard.views.payload_queries import parts_of_queries
from regard.views.payload_words import parts_of_words
from regard.views.plain import (
    base64_of,
    image_of,
    model_of,
    packed,
    parity_text,
    placed,
    recipe_rows,
)
from regard.views.tiles import BUDGET


def payload(trace: Trace, *, budget: int = BUDGET) -> dict[str, Any]:
    """Everything that the viewer shows, as plain JSON values.

    Its ``kind`` says what the ``entries`` are: ``words`` of a prompt, or ``queries`` of an image.
    Each has its column among the maps, which have a byte per patch and a range of their own.

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
    tiles, parts = (parts_of_words if trace.word_maps else parts_of_queries)(trace, budget)
    recipe, layers = trace.recipe, placed(parts["layers"], tiles)
    return {
        **parts,
        **packed(tiles),
        "layers": layers,
        "heads": max((layer["heads"] for layer in layers), key=len),
        "model": model_of(recipe),
        "run": [model_of(recipe), *parts["run"]],
        "parity": parity_text(recipe.get("parity_error")),
        "cut": str(recipe.get("cut") or ""),
        "saved": "trace.zarr",
        "recipe": recipe_rows(recipe),
        "colours": base64_of(colours()),
        "image": image_of(trace.image),
    }
