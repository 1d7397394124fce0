"""The command line: one thin command per verb.

A command imports its package when it is called, so that ``regard --help`` loads no model library.
"""

import functools
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from regard.arguments import speaking
from regard.cli.benchmark import benchmark
from regard.cli.compare import compare
from regard.cli.consist import consist
from regard.cli.data import data
from regard.cli.explain import explain
from regard.cli.learn_weights import learn_weights
from regard.cli.look import look
from regard.cli.measure import measure, measures
from regard.cli.models import evaluate, models, train
from regard.cli.polite import Polite, end_politely
from regard.cli.score import score
from regard.cli.steer import steer
from regard.cli.study import study
from regard.cli.sweep import sweep
from regard.cli.words import words

__all__ = ["app", "main"]


def named(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose name stands in the messages of all that it calls."""

    @functools.wraps(command)
    def called(*args: Any, **kwargs: Any) -> None:
        with speaking(command.__name__.replace("_", "-")):
            command(*args, **kwargs)

    return called


app = typer.Typer(
    cls=Polite,
    help="Look at, measure and steer attention in text-to-image models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    look,
    words,
    steer,
    explain,
    learn_weights,
    sweep,
    measure,
    measures,
    models,
    train,
    evaluate,
    score,
    compare,
    consist,
    study,
):
    app.command()(named(command))
app.add_typer(benchmark, name="benchmark")
app.add_typer(data, name="data")


def _version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"regard {version('regard')}")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; ``regard`` calls this."""
    # Our own lines say what a user needs to know; the libraries also tell of what does not matter
    # here, such as which image processor they chose.
    for library in ("DIFFUSERS", "TRANSFORMERS"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    end_politely()
    app()
