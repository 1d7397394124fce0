"""Sweeps: each head, layer, word or place taken away in its turn, and what became of the picture.

* `sweep`: draw and measure; a `Sweep` holds the table, its summary and the pictures.
* `OVER`: what can be swept over.
* `check_folder`: whether `Sweep.save` could write somewhere, asked before the work is done.
"""

from regard.experiments.sweeps.result import Sweep, check_folder
from regard.experiments.sweeps.sweep import OVER, sweep

__all__ = ["OVER", "Sweep", "check_folder", "sweep"]
