"""A trace that one can check by eye; it feeds the examples, the docs and the tests."""

import numpy as np

from regard.trace.record import Trace, layer_maps
from regard.trace.words import tokens_from_offsets

PROMPT = "a cat and a dog"


def toy_trace() -> Trace:
    """A made-up trace of "a cat and a dog": the cat is on the left, the dog on the right.

    Two layers (4x4 and 2x2 patches), two steps and two heads, all alike. In 32nds of a patch's
    attention: start 16, each ``a`` and ``and`` 1, end 4, pad 2, and the animals share 7, of which
    6 go to the animal on whose half the patch lies.

    Returns:
        The trace, without a table of words.

    Example:
        >>> toy_trace().heatmap("cat", layers="mid").values * 32
        array([[6., 1.],
               [6., 1.]])
    """
    tokens = tokens_from_offsets(
        PROMPT,
        ["<start>", "a", "cat", "and", "a", "dog", "<end>", "<pad>"],
        [(0, 0), (0, 1), (2, 5), (6, 9), (10, 11), (12, 15), (0, 0), (0, 0)],
        [True, False, False, False, False, False, True, True],
        end=6,
        pads=[7],
    )
    layers = {
        "down_blocks.0.attentions.0": layer_maps(
            _maps(4), steps=[0, 1], timesteps=[999.0, 500.0], tokens=range(8), place="down"
        ),
        "mid_block.attentions.0": layer_maps(
            _maps(2), steps=[0, 1], timesteps=[999.0, 500.0], tokens=range(8), place="mid"
        ),
    }
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, :4, 0] = 255
    recipe = {"model": "toy", "prompt": PROMPT, "seed": 0, "steps": 2, "size": [8, 8]}
    return Trace(layers, tokens, recipe, image)


def _maps(side: int) -> np.ndarray:
    maps = np.empty((2, 2, 8, side, side), np.float32)
    maps[:] = np.array([16, 1, 1, 1, 1, 1, 4, 2], np.float32)[:, None, None]
    maps[:, :, 2, :, : side // 2] = 6
    maps[:, :, 5, :, side // 2 :] = 6
    return maps / np.float32(32)
