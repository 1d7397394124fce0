"""What in the input decided, by attention and by gradients, and whether to trust the answer.

An explanation is a function of a model, images and classes that returns a map for each image over
its patches; `explanations` lists them. Tables say whether maps find what the answer depends on
(`faithfulness`), whether they change with the model (`model_randomisation`) and with the class
(`class_sensitivity`).

For text-to-image models, `word_explanations` lists those that return a map for each word of a
prompt. `word_gradients` says what each token adds to a step; `knock_out` and `word_deletion`
generate again without what is blamed.
"""

from typing import TYPE_CHECKING

from regard.explain.named import explanations, word_explanations
from regard.registry import hand_out

if TYPE_CHECKING:
    from regard.explain.attention import attention, rollout
    from regard.explain.baselines import edges, random
    from regard.explain.blame import Blame, Head, Region, Word
    from regard.explain.curves import area, deletion, insertion
    from regard.explain.faithful import faithfulness
    from regard.explain.gradients import attention_gradients, relevance
    from regard.explain.integrated import integrated_gradients
    from regard.explain.knock import knock_out
    from regard.explain.leave_out import word_deletion
    from regard.explain.named import Explanation, WordExplanation
    from regard.explain.occlusion import occlusion
    from regard.explain.output import Explained, explain_image, explain_prompt
    from regard.explain.prompt import word_gradients
    from regard.explain.propagate import Propagation, propagated, propagated_words
    from regard.explain.randomise import class_sensitivity, model_randomisation, randomise
    from regard.explain.regions import word_regions
    from regard.explain.time_rollout import time_rollout
    from regard.explain.word_rollout import WordRollout, word_rollout

__all__ = [
    "Blame",
    "Explained",
    "Explanation",
    "Head",
    "Propagation",
    "Region",
    "Word",
    "WordExplanation",
    "WordRollout",
    "area",
    "attention",
    "attention_gradients",
    "class_sensitivity",
    "deletion",
    "edges",
    "explain_image",
    "explain_prompt",
    "explanations",
    "faithfulness",
    "insertion",
    "integrated_gradients",
    "knock_out",
    "model_randomisation",
    "occlusion",
    "propagated",
    "propagated_words",
    "random",
    "randomise",
    "relevance",
    "rollout",
    "time_rollout",
    "word_deletion",
    "word_explanations",
    "word_gradients",
    "word_regions",
    "word_rollout",
]

hand_out(
    __name__,
    {
        "Blame": "regard.explain.blame:Blame",
        "Explained": "regard.explain.output:Explained",
        "Explanation": "regard.explain.named:Explanation",
        "WordExplanation": "regard.explain.named:WordExplanation",
        "Head": "regard.explain.blame:Head",
        "Propagation": "regard.explain.propagate:Propagation",
        "Region": "regard.explain.blame:Region",
        "Word": "regard.explain.blame:Word",
        "WordRollout": "regard.explain.word_rollout:WordRollout",
        "area": "regard.explain.curves:area",
        "class_sensitivity": "regard.explain.randomise:class_sensitivity",
        "deletion": "regard.explain.curves:deletion",
        "explain_image": "regard.explain.output:explain_image",
        "explain_prompt": "regard.explain.output:explain_prompt",
        "faithfulness": "regard.explain.faithful:faithfulness",
        "insertion": "regard.explain.curves:insertion",
        "knock_out": "regard.explain.knock:knock_out",
        "model_randomisation": "regard.explain.randomise:model_randomisation",
        "propagated": "regard.explain.propagate:propagated",
        "randomise": "regard.explain.randomise:randomise",
        "time_rollout": "regard.explain.time_rollout:time_rollout",
        "word_deletion": "regard.explain.leave_out:word_deletion",
        "word_gradients": "regard.explain.prompt:word_gradients",
    },
    explanations,
    word_explanations,
)
