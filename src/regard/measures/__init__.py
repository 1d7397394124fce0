"""Numbers computed from attention, by the question that they answer.

A measure is a kernel over the last axes of NumPy arrays or tensors, under a wrapper that takes
labelled arrays and sets a unit. `measures` lists them; each is an attribute of this package too, as
`regard.measures.gini`, and is imported when it is first used.
`over_trace` puts several of them into one table of a whole trace.
"""

from typing import TYPE_CHECKING, Any

from regard.measures.table import over_trace
from regard.registry import Registry, hand_out

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # each of the table


__all__ = ["measures", "over_trace"]

measures = Registry(
    "measure",
    {
        "agreement": "regard.measures.agreement:agreement",
        "area_above_uniform": "regard.measures.spread:area_above_uniform",
        "attention_distance": "regard.measures.reach:attention_distance",
        "attention_focus": "regard.measures.spread:attention_focus",
        "average_precision": "regard.measures.place:average_precision",
        "centre": "regard.measures.reach:centre",
        "coherence": "regard.measures.coherence:coherence",
        "coherence_lift": "regard.measures.coherence:coherence_lift",
        "column_concentration": "regard.measures.artefacts:column_concentration",
        "coverage": "regard.measures.spread:coverage",
        "effective_coverage": "regard.measures.spread:effective_coverage",
        "effective_heads": "regard.measures.agreement:effective_heads",
        "energy": "regard.measures.place:energy",
        "energy_lift": "regard.measures.place:energy_lift",
        "entropy": "regard.measures.spread:entropy",
        "extent": "regard.measures.reach:extent",
        "gini": "regard.measures.concentration:gini",
        "head_clusters": "regard.measures.heads:head_clusters",
        "head_correlation": "regard.measures.agreement:head_correlation",
        "head_divergence": "regard.measures.agreement:head_divergence",
        "head_diversity": "regard.measures.agreement:head_diversity",
        "head_redundancy": "regard.measures.heads:head_redundancy",
        "hoyer": "regard.measures.concentration:hoyer",
        "iou": "regard.measures.place:iou",
        "mass": "regard.measures.reach:mass",
        "norm_outliers": "regard.measures.artefacts:norm_outliers",
        "normalised_entropy": "regard.measures.spread:normalised_entropy",
        "participation": "regard.measures.spread:participation",
        "perplexity": "regard.measures.spread:perplexity",
        "pointing_game": "regard.measures.place:pointing_game",
        "roc_area": "regard.measures.place:roc_area",
        "rollout": "regard.measures.flow:rollout",
        "same_place": "regard.measures.artefacts:same_place",
        "sink_mass": "regard.measures.artefacts:sink_mass",
        "topk_mass": "regard.measures.concentration:topk_mass",
        "word_table": "regard.measures.words:word_table",
    },
)

hand_out(__name__, {}, measures)
