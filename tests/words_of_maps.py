"""Traces of words whose maps a reader can see at a glance."""

import numpy as np

from layer_of_maps import layer_of_maps
from regard.trace import Trace, tokens_from_offsets

LEFT = np.array([[2.0, 0.0], [2.0, 0.0]])
EVEN = np.array([[1.0, 1.0], [1.0, 1.0]])
TOP = np.array([[2.0, 2.0], [0.0, 0.0]])


def trace_of(**maps):
    """A trace of one step, head and 2x2 layer, in which each word has the map that is given."""
    prompt = " ".join(maps)
    starts = np.cumsum([0, *(len(word) + 1 for word in maps)])
    tokens = tokens_from_offsets(
        prompt,
        list(maps),
        [(int(start), int(start) + len(word)) for start, word in zip(starts, maps, strict=False)],
        [False] * len(maps),
        end=None,
    )
    stacked = np.stack(list(maps.values()))[None, None]
    layer = layer_of_maps(stacked, steps=[0], timesteps=[0.0], tokens=range(len(maps)))
    return Trace({"mid": layer}, tokens, {"prompt": prompt})


def column(table, name):
    return dict(zip(table["word"], table[name], strict=True))
