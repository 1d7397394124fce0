"""Steering: one prompt with and without changes of attention, at the same seed, side by side.

* `steer`: draw twice, and say what became different; a `Steered` holds both looks and the table.
* `replay`: do again what a saved recipe says.
* `check_folder`: whether `Steered.save` could write somewhere, asked before the work is done.
"""

from regard.steering.output import check_folder
from regard.steering.result import Steered
from regard.steering.steer import replay, steer

__all__ = ["Steered", "check_folder", "replay", "steer"]
