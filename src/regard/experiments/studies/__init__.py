"""Studies: hypotheses that were written down beforehand, tested on one model and data set.

`studies` lists them. Each is a function of a model and a data set that returns a `Study`: what
became of each hypothesis, tables and images, which it saves as a report.
"""

from regard.experiments.studies.consistency import consistency
from regard.experiments.studies.finding import Finding, Hypothesis
from regard.experiments.studies.redundancy import redundancy
from regard.experiments.studies.study import STUDY, Study
from regard.experiments.studies.vit import vit
from regard.registry import Registry

__all__ = ["STUDY", "Finding", "Hypothesis", "Study", "consistency", "redundancy", "studies", "vit"]

studies = Registry(
    "study",
    {
        "consistency": "regard.experiments.studies:consistency",
        "redundancy": "regard.experiments.studies:redundancy",
        "vit": "regard.experiments.studies:vit",
    },
)
