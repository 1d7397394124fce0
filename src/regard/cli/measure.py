"""``regard measure`` and ``regard measures``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.polite import check_file, write_table
from regard.errors import ArgumentError


def measure(
    trace: Annotated[Path, typer.Argument(help="A trace.zarr that regard look wrote.")],
    names: Annotated[list[str], typer.Argument(help="Measures; regard measures lists them.")],
    csv: Annotated[
        Path | None, typer.Option(help="Write every value to this file; it must not exist yet.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every value as JSON and nothing else.")
    ] = False,
) -> None:
    """Measure the attention of a saved trace, layer by layer and head by head."""
    from regard.measures import over_trace

    if csv is not None:
        if csv.exists():
            raise ArgumentError(f"measure: '{csv}' exists already. Choose another name.")
        check_file(csv, who="measure")
    table = over_trace(trace, names)
    if csv is not None:
        write_table(table, csv, who="measure")
    if as_json:
        # Through pandas, which writes NaN as null: JSON has no NaN.
        typer.echo(table.to_json(orient="records", double_precision=15))
        return
    typer.echo("\n\n".join(text_of(table)))
    if csv is not None:
        typer.echo(f"\nWrote {csv}.")


def measures() -> None:
    """List the measures, with unit, range, what a higher value means, and source."""
    from regard.measures import measures as known
    from regard.measures.about import READS, about_of

    for name in known.names():
        about = about_of(known.get(name))
        lines = [
            f"{name} ({', '.join(part for part in (about.unit, about.range) if part)})",
            about.question,
            about.source,
        ]
        if about.reads in READS:  # not of a function that only has its docstring
            lines.insert(2, f"Higher: {about.higher}. Reads {READS[about.reads]}.")
        typer.echo("\n    ".join(lines))


def text_of(table: Any) -> list[str]:
    """One table per measure for the terminal: layers down; across heads, or words.

    Of words there are many and heads matter less, so their heads are averaged; of what looks there
    is little, so each has a table by head. Steps are averaged.
    """
    shown = []
    for name, values in table.groupby("measure", sort=False):
        unit = values["unit"].iloc[0]
        if "patches" in set(values["of"]) or "probe" in set(values["of"]):
            for of, part in values.groupby("of", sort=False):
                shown.append(f"{name} of {of}, {unit}, by head\n{_crossed(part, 'head')}")
        else:
            shown.append(f"{name}, {unit}, by word\n{_crossed(values, 'of')}")
        undefined = int(values["undefined"].sum())
        if undefined:
            shown[-1] += f"\n{undefined} queries have no value and were left out."
    return shown


def _crossed(values: Any, across: str) -> str:
    crossed = values.pivot_table("value", "layer", across, sort=False, dropna=False)
    if crossed.shape[1] > 1:
        crossed["mean"] = crossed.mean(axis=1)
    shown = crossed.rename_axis(index=None, columns=None)
    return str(shown.to_string(float_format="{:.4g}".format, na_rep="-"))
