"""What in the input decided, by attention and by gradients, and whether to trust the answer.

An explanation is a function of a model, images and classes that returns a map for each image over
its patches; `explanations` lists them. Tables say whether maps find what the answer depends on
(`faithfulness`), whether they change with the model (`model_randomisation`) and with the class
(`class_sensitivity`).

For text-to-image models, `word_rollout`, `propagated_words` and `word_gradients` say what each
token of the prompt contributes, and `word_regions` where the objects are; `knock_out` and
`word_deletion` generate again without what is blamed.
"""

from regard.explain.blame import Blame, Head, Region, Word
from regard.explain.curves import area, deletion, insertion
from regard.explain.faithful import faithfulness
from regard.explain.knock import knock_out
from regard.explain.leave_out import word_deletion
from regard.explain.named import Explanation, explanations
from regard.explain.output import Explained, explain_image, explain_prompt
from regard.explain.prompt import word_gradients
from regard.explain.propagate import Propagation, propagated, propagated_words
from regard.explain.randomise import class_sensitivity, model_randomisation, randomise
from regard.explain.regions import word_regions
from regard.explain.words import WordRollout, time_rollout, word_rollout

__all__ = [
    "Blame",
    "Explained",
    "Explanation",
    "Head",
    "Propagation",
    "Region",
    "Word",
    "WordRollout",
    "area",
    "class_sensitivity",
    "deletion",
    "explain_image",
    "explain_prompt",
    "explanations",
    "faithfulness",
    "insertion",
    "knock_out",
    "model_randomisation",
    "propagated",
    "propagated_words",
    "randomise",
    "time_rollout",
    "word_deletion",
    "word_gradients",
    "word_regions",
    "word_rollout",
]
