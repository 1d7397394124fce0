"""A study that is quickly saved."""

import pandas as pd
from PIL import Image

from regard.experiments.studies import STUDY, Study
from regard.views.report import Plate, Section


def small_study(name: str = "small") -> Study:
    """One finding, one table and one image, with signs that HTML and Markdown must escape."""
    findings = pd.DataFrame(
        {
            "name": ["rises"], "verdict": ["fails"], "claim": ["It <rises> | falls."],
            "predicted": ["above 0"], "value": [0.5], "low": [0.25], "high": [float("nan")],
            "unit": ["1"], "n": [9], "of": ["images"], "p": [0.5], "p_holm": [float("nan")],
            "answer": ["It fails."],
        }
    )  # fmt: skip
    part = Section(
        "One", ("Text.",), {"numbers": pd.DataFrame({"x": [1.0, 2.5]})},
        {"square": Plate(Image.new("RGB", (2, 2)), "A square.")},
    )  # fmt: skip
    recipe = {"study": name, "model": "tiny"}
    how = {"title": "Found", "sections": (part,), "notes": ("Mind this.",)}
    return Study(STUDY, findings, recipe, **how)
