"""``regard look --image``: what a vision transformer attends to in an image that exists."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from regard.cli.options import listed
from regard.cli.polite import tell
from regard.errors import ArgumentError
from regard.saved.named import stem


def of_image(
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

    asked = None if queries is None else listed(queries)
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


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip())
    if found is None:
        raise ArgumentError(
            f"look: size is '{text}' and must be pixels a side, such as 64, or 64x128."
        )
    return int(found[1]), int(found[2] or found[1])
