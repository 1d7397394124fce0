"""A trace that one can check by eye; it feeds the examples, the docs and the tests."""

import numpy as np
import xarray as xr

from regard.trace.labels import labelled_layer, rows_of_maps
from regard.trace.trace import Trace
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
        "down_blocks.0.attentions.0": _layer(4, "down"),
        "mid_block.attentions.0": _layer(2, "mid"),
    }
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, :4, 0] = 255
    recipe = {"model": "toy", "prompt": PROMPT, "seed": 0, "num_inference_steps": 2, "size": [8, 8]}
    return Trace(layers, tokens, recipe, image)


def _layer(side: int, stage: str) -> xr.DataArray:
    return labelled_layer(
        rows_of_maps(_maps(side)),
        grid=(side, side),
        tokens=range(8),
        steps=[0, 1],
        timesteps=[999.0, 500.0],
        stage=stage,
    )


def _maps(side: int) -> np.ndarray:
    maps = np.empty((2, 2, 8, side, side), np.float32)
    maps[:] = np.array([16, 1, 1, 1, 1, 1, 4, 2], np.float32)[:, None, None]
    maps[:, :, 2, :, : side // 2] = 6
    maps[:, :, 5, :, side // 2 :] = 6
    return maps / np.float32(32)


def toy_vision() -> Trace:
    """A made-up trace of an image of 2x2 patches and a class token.

    Two layers of two heads. In 16ths, every token gives 4 to the class token; in the first layer 3
    to each patch; in the second, head 0 gives 5 to each patch on the left and 1 to each on the
    right, and head 1 the other way round.

    Returns:
        The trace, named a shoe with probability 3/4.

    Example:
        >>> toy_vision().attention("mean", layers="layers.1", heads=1).values * 16
        array([[1., 5.],
               [1., 5.]])
    """
    rows = np.array([[[4, 3, 3, 3, 3]] * 2, [[4, 5, 1, 5, 1], [4, 1, 5, 1, 5]]]) / 16
    layers = {
        f"layers.{layer}.attention": labelled_layer(
            np.broadcast_to(rows[layer][None, :, None], (1, 2, 5, 5)),
            grid=(2, 2),
            prefix=["cls"],
            patch=(2, 2),
        )
        for layer in range(2)
    }
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, :2] = 255
    recipe = {
        "model": "toy",
        "size": [4, 4],
        "labels": ["shoe", "bag"],
        "prediction": [["shoe", 0.75], ["bag", 0.25]],
    }
    return Trace(layers, (), recipe, image)
