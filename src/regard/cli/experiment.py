"""What the commands of all experiments do: go on where one stopped, save, print."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from regard.cli.polite import STOPPED, bar, how_to_go_on, stop, tell


def carry_out(
    kind: Any,
    folder: Path,
    compute: Callable[..., Any],
    what: str,
    *,
    cases: tuple[str, str] = ("prompt and seed", "prompts and seeds"),
    names: bool = False,
    overwrite: bool,
    as_json: bool,
    text_of: Callable[[Any], str],
) -> None:
    """Run an experiment into its folder, and print what it found.

    Args:
        kind: Of the experiment, a `regard.experiments.result.Kind`.
        folder: Where its result goes.
        compute: The experiment, of ``store``, ``overwrite`` and ``progress``.
        what: Stands before the progress bar.
        cases: What one of its cases is called, and several.
        names: Whether progress says what is being done too.
        overwrite: Whether a result of the same kind may be replaced.
        as_json: Whether one JSON object is printed and nothing else.
        text_of: From the result to what the terminal shows.
    """
    with kind.begin(folder, overwrite=overwrite) as (_, unfinished):
        try:
            with bar(what) as advance:
                progress = named(advance) if names else advance
                found = compute(store=unfinished, overwrite=overwrite, progress=progress)
        except KeyboardInterrupt:
            stop(how_to_go_on(unfinished, *cases), STOPPED)
        found.save(folder, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps({**found.to_json(), "folder": str(folder)}))
        return
    typer.echo(text_of(found))
    typer.echo(f"\nWrote {folder}. Open {folder / 'report.html'} in a browser.")


def named(advance: Callable[[int, int], None]) -> Callable[[str, int, int], None]:
    """Progress that also prints a line whenever something else is being done."""
    said = ""

    def progress(doing: str, done: int, total: int) -> None:
        nonlocal said
        if doing != said:
            said = doing
            tell(f"{doing} ...")
        advance(done, total)

    return progress
