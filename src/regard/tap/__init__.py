"""See and change the attention of a model that you did not write.

For the length of a ``with`` block, ``Tap`` sees every softmax attention that a model computes,
knows where and when each happened, and may change it. The model stays as it is.

* ``Tap``: opens and closes.
* ``AttentionCall``: one call of one layer, with reads and verbs.
* ``Select``: which calls; ``attention_layers``: which layers there are; ``has_names``: whether a
  path is meant.
* ``TokenLayout`` of ``Segment``: what each query and key stands for; ``layout_for`` adds a model.
* observers: ``HeatMap``, ``OutputMap``, ``Parity``, ``LayerMean``, or any function of a call.
* edits: ``hide``, or any function of a call that uses its verbs.
"""

from regard.layers import has_names
from regard.tap.call import AttentionCall, Edit, Observer
from regard.tap.clock import listening
from regard.tap.edits import hide
from regard.tap.family import layout_for
from regard.tap.layout import LayerShape, TokenLayout
from regard.tap.model import attention_layers, layer_infos
from regard.tap.observers import HeatMap, LayerHeat, LayerMean, OutputMap, Parity
from regard.tap.opened import shadowed
from regard.tap.segment import Segment, segments
from regard.tap.select import TO_TEXT, Select
from regard.tap.steps import Steps
from regard.tap.tap import Tap

__all__ = [
    "TO_TEXT",
    "AttentionCall",
    "Edit",
    "HeatMap",
    "LayerHeat",
    "LayerMean",
    "LayerShape",
    "Observer",
    "OutputMap",
    "Parity",
    "Segment",
    "Select",
    "Steps",
    "Tap",
    "TokenLayout",
    "attention_layers",
    "has_names",
    "hide",
    "layer_infos",
    "layout_for",
    "listening",
    "segments",
    "shadowed",
]
