"""Statistics kept while a model runs: callables on an ``AttentionCall`` with ``.result()``.

A plain function will do as well; these are the ones that need memory, and bound it.
"""

from regard.tap.observers.heat_map import HeatMap
from regard.tap.observers.image_rows import ImageRows, LayerRows
from regard.tap.observers.layer_mean import LayerMean
from regard.tap.observers.output_map import OutputMap
from regard.tap.observers.parity import Parity
from regard.tap.observers.text_maps import KEEPABLE, LayerHeat

__all__ = [
    "KEEPABLE",
    "HeatMap",
    "ImageRows",
    "LayerHeat",
    "LayerMean",
    "LayerRows",
    "OutputMap",
    "Parity",
]
