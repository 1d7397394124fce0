"""``regard study``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.polite import STOPPED, bar, how_to_go_on, stop, tell


def study(
    name: Annotated[
        str,
        typer.Argument(help="Which study: vit, of a vision transformer; or redundancy, of words."),
    ],
    model: Annotated[
        str | None, typer.Option(help="A bundled model, or a folder; by default the study's own.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data; by default where it is installed.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default study-NAME.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the work; not to be quoted.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a study that is in the folder.")
    ] = False,
) -> None:
    """Test what was expected of a model: hypotheses, numbers with intervals, verdicts, a report.

    Called again after an interruption, it goes on where it stopped.
    """
    from regard.experiments.studies import studies
    from regard.experiments.studies.study import begin

    run = studies.get(name)  # a mistake is told before torch is loaded
    folder = out or Path(f"study-{name}")
    given: dict[str, Any] = {} if model is None else {"model": model}
    said = ""
    with begin(folder, overwrite=overwrite) as (_, unfinished):
        given |= {"store": unfinished, "overwrite": overwrite}
        try:
            with bar(f"study {name}") as advance:

                def progress(what: str, done: int, total: int) -> None:
                    nonlocal said
                    if what != said:
                        said = what
                        tell(f"{what} ...")
                    advance(done, total)

                found = run(data=data, quick=quick, progress=progress, **given)
        except KeyboardInterrupt:
            stop(how_to_go_on(unfinished, "part", "parts"), STOPPED)
        found.save(folder, overwrite=overwrite)
    if as_json:
        typer.echo(_json_of(found, folder))
        return
    typer.echo(text_of(found.findings))
    typer.echo(f"\nWrote {folder}. Open {folder / 'report.html'} in a browser.")


def text_of(findings: Any) -> str:
    """Each verdict with its claim and numbers, for the terminal."""
    lines = []
    for row in findings.itertuples():
        unit = "" if row.unit == "1" else f" {row.unit}"
        chance = "" if row.p_holm != row.p_holm else f", p {row.p_holm:.2g} (Holm)"
        lines.append(f"{row.verdict:<10} {row.claim}")
        ends = "(no interval)" if row.low != row.low else f"[{row.low:.3g}, {row.high:.3g}]"
        lines.append(f"{'':<10} {row.value:.3g} {ends}{unit}{chance}; predicted: {row.predicted}")
    return "\n".join(lines)


def _json_of(found: Any, folder: Path) -> str:
    import json

    from regard.experiments.result import plain_rows

    told = {"study": found.name, **found.recipe, "findings": plain_rows(found.findings)}
    return json.dumps({**told, "folder": str(folder)})
