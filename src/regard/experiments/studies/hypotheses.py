"""What was expected of a vision transformer, written down before any measurement.

Trends with depth are rank correlations of layer and value, image by image, and must exceed 0.3, a
medium effect (Cohen 1988, "Statistical Power Analysis", section 3.2): with ten thousand images any
slope at all would be beyond chance.
"""

from regard.experiments.studies.finding import Hypothesis

TREND = 0.3

FOCUS_RISES = Hypothesis(
    "focus-rises",
    "The token that the prediction is read from (CLS) attends to less of the image with depth.",
    "rank correlation of layer and focus, mean over images",
    TREND,
)

DISTANCE_RISES = Hypothesis(
    "distance-rises",
    "Patches attend farther the deeper the layer.",
    "rank correlation of layer and attention distance, mean over images",
    TREND,
)

HEADS_ALIKE = Hypothesis(
    "heads-alike",
    "The heads of deep layers are more alike.",
    "rank correlation of layer and head diversity, mean over images",
    -TREND,
    "below",
)

WRONG_LESS_FOCUSED = Hypothesis(
    "wrong-less-focused",
    "Where the prediction is wrong, the last layer is less focused.",
    "focus of correct predictions minus that of wrong ones",
    0.0,
)

WRONG_IN_CLASS = Hypothesis(
    "wrong-less-focused-in-class",
    "The same holds within a class, so it is not only that hard classes are unfocused.",
    "mean focus of correct predictions of the same class minus that of a wrong one",
    0.0,
)

SPECIAL_MATTERS = Hypothesis(
    "special-heads-matter",
    "Heads that look special matter more: focused, unlike the others, all patches on a few.",
    "rank correlation over heads of looking special and the loss without the head",
    0.0,
)

BETTER_THAN_CHANCE = Hypothesis(
    "attention-beats-chance",
    "The last layer's attention finds what the prediction depends on, better than chance.",
    "deletion area of random orders minus that of attention",
    0.0,
    unit="probability",
)

ROLLOUT_BETTER = Hypothesis(
    "rollout-beats-last-layer",
    "Rollout through all layers is more faithful than the last layer's attention.",
    "deletion area of attention minus that of rollout, same image",
    0.0,
    unit="probability",
)

MAPS_SURVIVE = Hypothesis(
    "maps-survive",
    "What CLS attends to stays the same in an image about a third larger.",
    "correlation of the last layer's maps, mean over images",
    0.5,
)

SMALLER_SURVIVES = Hypothesis(
    "smaller-survives",
    "Images about a third smaller lose less than 5 points of accuracy.",
    "accuracy lost",
    5.0,
    "below",
    "points",
)

LARGER_SURVIVES = Hypothesis(
    "larger-survives",
    "Images about a third larger lose less than 5 points of accuracy.",
    "accuracy lost",
    5.0,
    "below",
    "points",
)

ALL = (
    FOCUS_RISES,
    DISTANCE_RISES,
    HEADS_ALIKE,
    WRONG_LESS_FOCUSED,
    WRONG_IN_CLASS,
    SPECIAL_MATTERS,
    BETTER_THAN_CHANCE,
    ROLLOUT_BETTER,
    MAPS_SURVIVE,
    SMALLER_SURVIVES,
    LARGER_SURVIVES,
)
