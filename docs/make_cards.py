"""Measure the bundled models again and write what their cards quote.

python docs/make_cards.py [NAME ...] [--quick]
"""

import json
import sys
from pathlib import Path

from regard.experiments import evaluate
from regard.zoo import cards, recipes, weights_folder


def write(name: str, *, quick: bool) -> None:
    """Measure one model, then write its figures, their intervals and README.md."""
    folder = Path(weights_folder(name))
    figures = evaluate(name, quick=quick, progress=print).figures
    quoted = {key: value for key, value in figures.items() if key in cards.FIGURES}
    ends = {key: value for key, value in figures.items() if key not in cards.FIGURES}
    (folder / "figures.json").write_text(json.dumps(quoted, indent=1) + "\n")
    if ends:
        (folder / "intervals.json").write_text(json.dumps(ends, indent=1) + "\n")
    (folder / "README.md").write_text(cards.card(name))


if __name__ == "__main__":
    names = [word for word in sys.argv[1:] if word != "--quick"]
    for each in names or recipes():
        write(each, quick="--quick" in sys.argv)
