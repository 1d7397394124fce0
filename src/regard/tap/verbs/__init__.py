"""What an edit may do with an attention call, one method a verb.

* ``scaling``: mask or scale keys, heads and scores.
* ``replacing``: exchange keys, values, queries or whole maps, or inject those of another row.
"""

from regard.tap.verbs.replacing import ReplacingVerbs
from regard.tap.verbs.scaling import ScalingVerbs

__all__ = ["ReplacingVerbs", "ScalingVerbs"]
