"""Statistics: means with their intervals, paired differences, p values for several questions.

* `bootstrap`, `intervals`: the interval of a mean, one or a whole array of them.
* `paired`, `holm`: a difference with its p value, and p values adjusted for their number.
* `compare`: two tables of scores on the same prompts and seeds.
* `Estimate`, `mean_of`, `difference_of`, `correlation_of`: a number held against a bound.
"""

from typing import TYPE_CHECKING

from regard.registry import hand_out

if TYPE_CHECKING:
    from regard.stats.comparison import compare
    from regard.stats.estimates import Estimate, correlation_of, difference_of, mean_of
    from regard.stats.means import Difference, Interval, bootstrap, holm, intervals, paired

__all__ = [
    "Difference",
    "Estimate",
    "Interval",
    "bootstrap",
    "compare",
    "correlation_of",
    "difference_of",
    "holm",
    "intervals",
    "mean_of",
    "paired",
]

_HOMES = {
    "means": ("Difference", "Interval", "bootstrap", "holm", "intervals", "paired"),
    "comparison": ("compare",),
    "estimates": ("Estimate", "correlation_of", "difference_of", "mean_of"),
}

hand_out(
    __name__,
    {name: f"regard.stats.{module}:{name}" for module, names in _HOMES.items() for name in names},
)
