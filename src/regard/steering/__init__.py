"""Steering: one prompt with and without changes of attention, at the same seed, side by side.

* `steer`: generate twice and compare; a `Steered` holds both results and the table.
* `replay`: repeat what a saved recipe says.
* `check_folder`: whether `Steered.save` could write somewhere, asked before the work is done.
* `learn_word_weights`: the weights of its words with which a prompt gives an image; `WordWeights`
  holds them, and `check_weights_folder` is to it what `check_folder` is to `Steered`.
"""

from regard.steering.learn import learn_word_weights
from regard.steering.output import check_folder
from regard.steering.result import Steered
from regard.steering.steer import replay, steer
from regard.steering.weights import WordWeights, check_weights_folder

__all__ = [
    "Steered",
    "WordWeights",
    "check_folder",
    "check_weights_folder",
    "learn_word_weights",
    "replay",
    "steer",
]
