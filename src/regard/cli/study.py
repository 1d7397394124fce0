"""``regard study``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.experiment import carry_out


def study(
    name: Annotated[
        str,
        typer.Argument(
            help="Which study: vit, of a vision transformer; redundancy, of words; or consistency."
        ),
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
    from regard.experiments.studies import STUDY, studies

    run = studies.get(name)  # a mistake is told before torch is loaded
    given: dict[str, Any] = {} if model is None else {"model": model}
    carry_out(
        STUDY,
        out or Path(f"study-{name}"),
        lambda **how: run(data=data, quick=quick, **given, **how),
        f"study {name}",
        cases=("part", "parts"),
        names=True,
        overwrite=overwrite,
        as_json=as_json,
        text_of=text_of,
    )


def text_of(study: Any) -> str:
    """Each verdict with its claim and numbers, for the terminal."""
    lines = []
    for row in study.findings.itertuples():
        unit = "" if row.unit == "1" else f" {row.unit}"
        chance = "" if row.p_holm != row.p_holm else f", p {row.p_holm:.2g} (Holm)"
        lines.append(f"{row.verdict:<10} {row.claim}")
        ends = "(no interval)" if row.low != row.low else f"[{row.low:.3g}, {row.high:.3g}]"
        lines.append(f"{'':<10} {row.value:.3g} {ends}{unit}{chance}; predicted: {row.predicted}")
    return "\n".join(lines)
