"""Numbers computed from attention, by the question that they answer.

A measure is a kernel over the last axes of NumPy arrays or tensors, under a wrapper that takes
labelled arrays and sets a unit. `measures` lists them; nothing is imported until one is asked for.
"""

from regard.registry import Registry

__all__ = ["measures"]

measures = Registry(
    "measure",
    {
        "entropy": "regard.measures.spread:entropy",
        "iou": "regard.measures.place:iou",
        "normalised_entropy": "regard.measures.spread:normalised_entropy",
        "perplexity": "regard.measures.spread:perplexity",
        "word_table": "regard.measures.words:word_table",
    },
)
