"""What was seen, labelled: the maps of every word or patch, and the recipe that made them.

A `Trace` holds one labelled array per attention layer and knows the words of the prompt, or the
tokens of the image, by name. It is NumPy and xarray throughout, so a saved trace opens where
torch is not installed.
"""

from regard.trace.grid import resize
from regard.trace.labels import labelled_layer, rows_of_maps
from regard.trace.prompt import Prompt
from regard.trace.toy import toy_trace, toy_vision
from regard.trace.trace import Trace
from regard.trace.words import Token, tokens_from_offsets, words_of

__all__ = [
    "Prompt",
    "Token",
    "Trace",
    "labelled_layer",
    "resize",
    "rows_of_maps",
    "tokens_from_offsets",
    "toy_trace",
    "toy_vision",
    "words_of",
]
