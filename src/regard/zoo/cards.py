"""Model cards: written from the recipe and the measured figures, so that they cannot drift."""

import json
import re
from importlib import resources
from typing import Any

from regard.data.drawings import SUBJECTS
from regard.data.fashion_mnist import NAMES
from regard.zoo.recipe import Recipe, recipe

DATA = {
    "scenes": (
        "Data: `regard.data.scenes`, drawn on the fly from OpenMoji drawings "
        "(https://openmoji.org, CC BY-SA 4.0). The weights are shared under CC BY-SA 4.0 too.",
        "For: studying attention. It knows 24 subjects, 11 colours and 6 backgrounds, nothing "
        "else, and draws no people.",
    ),
    "scenes-2": (
        "Data: `regard.data.scene(..., version=2)`, composed on the fly from OpenMoji drawings "
        "(https://openmoji.org, CC BY-SA 4.0). The weights are shared under CC BY-SA 4.0 too.",
        "For: studying attention. It knows 24 subjects in two or three drawings each, 11 colours, "
        "up to three of a kind, and 6 backgrounds, nothing else.",
    ),
    "fashion-mnist": (
        "Data: the 60,000 training pictures of Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, "
        "arXiv 1708.07747; MIT licence, © Zalando SE). The weights are shared under Apache-2.0.",
        "For: studying attention. It knows ten kinds of clothing, photographed from the front on "
        "black at 28 pixels, and calls anything else one of them.",
    ),
}
"""What a model learns from and is good for, by the ``data`` of its recipe."""


def accuracy_key(name: str) -> str:
    """The key of the accuracy on one class.

    Example:
        >>> accuracy_key("T-shirt/top")
        'accuracy_t_shirt_top'
    """
    return "accuracy_" + re.sub(r"\W+", "_", name.lower())


def subject_key(name: str) -> str:
    """The key of the share of images that show one subject.

    Example:
        >>> subject_key("bowl")
        'subject_shown_bowl'
    """
    return f"subject_shown_{name}"


READINGS = {
    "own": "own token, layers of the finest grid",
    "carriers": "own and next token, layers of the finest grid",
    "shown": "own and next token, its last layers of the finest grid: what `look` shows",
    "dot": "outputs, dot products as in ConceptAttention, own and next token, the same layers",
    "output": "outputs, cosines (`OutputMap`), own and next token, the same layers",
    "propagated": "`shown`, carried on by the self-attention of the last layer",
    "regions": "half of each, shared out among the words (`word_regions`)",
}
"""The ways in which maps of words are read that a card compares."""


def reading_key(figure: str, reading: str) -> str:
    """The key of a figure of maps that were read in one of the `READINGS`.

    Example:
        >>> reading_key("map_miou", "own"), reading_key("map_miou", "carriers")
        ('map_miou', 'map_miou_carriers')
    """
    return figure if reading == "own" else f"{figure}_{reading}"


FIGURES = {
    "psnr_db": "Reconstruction, peak signal-to-noise ratio (dB)",
    "zero_shot_accuracy": "Zero-shot accuracy among 24 subjects, single-subject scenes",
    "presence_f1": "Presence of subjects, F1",
    "mask_miou": "Masks, mean IoU over subjects",
    "segmenter_colour_accuracy": "Colour of painted subjects, accuracy",
    "segmenter_count_accuracy": "How many of a subject, accuracy",
    "caption_exact": "Captions that name all subjects and colours right, and no others",
    "caption_subjects_f1": "Subjects named in captions, F1",
    "subject_shown": "Single-subject prompts that show their subject",
    "colour_right": "Coloured objects in the right colour",
    "count_right": "Prompts for two or three of a subject that show as many",
    **{subject_key(name): f"Prompts for {name} that show it" for name in SUBJECTS},
    "both_present": "Two-subject benchmark prompts that show both",
    "one_neglected": "Two-subject benchmark prompts that show one only",
    "both_present_held_out_pairs": "Both shown, on pairs of subjects never trained together",
    "colours_bound_right": "All named colours right, where both are shown",
    "map_miou": "Word maps (layers of 16x16) against the segmenter's masks, generated pictures, "
    "mean IoU",
    "map_miou_true_mask": "Word maps (layers of 16x16) against true masks, real scenes noised to "
    "t = 200, mean IoU",
    "map_miou_all_layers": "The same with the coarser layers averaged in",
    "map_miou_disc": "The same for a centred disc",
    "map_miou_shuffled": "The same for the map of another word of the prompt",
    **{
        reading_key(figure, reading): f"{where}, mean IoU: {READINGS[reading]}"
        for figure, where in (
            ("map_miou", "Word maps against the segmenter's masks"),
            ("map_miou_true_mask", "Word maps against true masks"),
        )
        for reading in READINGS
        if reading != "own"
    },
    "test_accuracy": "Accuracy on test pictures",
    **{accuracy_key(name): f"Accuracy on test pictures of class {name}" for name in NAMES},
    "images": "Pictures judged",
}
"""Every figure a card may quote, in the order in which it is quoted."""

GOALS = {
    "psnr_db": 28.0,
    "zero_shot_accuracy": 0.95,
    "presence_f1": 0.97,
    "mask_miou": 0.85,
    "segmenter_colour_accuracy": 0.95,
    "caption_exact": 0.90,
    "caption_subjects_f1": 0.95,
    "subject_shown": 0.95,
    "colour_right": 0.90,
    "both_present": 0.60,
    "map_miou_true_mask": 0.60,
    "map_miou_true_mask_regions": 0.80,
    "map_miou_regions": 0.66,
    "test_accuracy": 0.90,
}
"""The least value that is wanted of a figure; the card says which are not reached."""


def figures(name: str) -> dict[str, float]:
    """The figures measured for the weights in the package; empty where none were.

    They are written by ``regard evaluate NAME --json`` on the weights that lie beside them.
    """
    return _beside(name, "figures.json")


def intervals(name: str) -> dict[str, float]:
    """The ends of the 95 % intervals of those figures, and paired differences."""
    return _beside(name, "intervals.json")


def _quoted(key: str, value: float, ends: dict[str, float]) -> str:
    """A figure with its interval and what it gained, where these were measured."""
    gain = f"{key}_gain"
    if f"{key}_low" not in ends:
        return f"{value:g}"
    more = f", +{_spread(ends[gain], ends, gain)}" if gain in ends else ""
    return _spread(value, ends, key) + more


def _spread(value: float, ends: dict[str, float], key: str) -> str:
    # Means keep their digits: 0.7999 is not 0.800.
    return f"{value:.4g} [{ends[f'{key}_low']:.3f}, {ends[f'{key}_high']:.3f}]"


def _beside(name: str, file: str) -> dict[str, Any]:
    place = resources.files("regard.zoo").joinpath("weights", name, file)
    return dict(json.loads(place.read_text())) if place.is_file() else {}


def card(name: str) -> str:
    """The card of a bundled model, in Markdown.

    Args:
        name: One of `regard.zoo.recipes`.

    Returns:
        What it is, what it learnt from, how it was trained, what it can do and what it cannot.

    Raises:
        UnknownName: no bundled model has this name.

    Example:
        >>> card("openmoji").splitlines()[0]
        '# openmoji'
    """
    plan = recipe(name)
    parts = [f"# {name}", plan.summary, _about(plan), _trained(plan), _table(name), _maps(plan)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(plan: Recipe) -> str:
    lines = [
        f"- Class: `{plan.network}` (diffusers or transformers), our configuration and weights.",
    ]
    lines += [f"- {each}" for each in (*DATA[plan.data], *plan.notes)]
    return "\n".join(lines)


def _trained(plan: Recipe) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in plan.train.items())
    made = _beside(plan.name, "training.json").get("steps")
    how = "Muon for matrices, AdamW for the rest" if plan.train.get("muon") else "AdamW"
    these = f" The weights in the package have had {made} steps." if made else ""
    return (
        f"## Training\n\n`regard train {plan.name}`: {how}, warm-up, plateau, linear decay "
        f"over the last fifth, averaged weights.{these}\n\nRecipe: {settings}."
    )


def _table(name: str) -> str:
    known: dict[str, Any] = figures(name)
    if not known:
        return "## Figures\n\nNone measured yet."
    ends = intervals(name)
    rows = [
        f"| {FIGURES[key]} | `{key}` | {_quoted(key, known[key], ends)} |"
        for key in FIGURES
        if key in known
    ]
    head = f"`regard evaluate {name}` recomputes each, on what was never trained on."
    return "\n".join(
        [f"## Figures\n\n{head}\n", "| figure | key | value |", "|---|---|---|", *rows]
    )


def _maps(plan: Recipe) -> str:
    """What the figures of maps are of, and which maps are shown; empty where none was chosen."""
    told = plan.reading
    if not told or not figures(plan.name):
        return ""
    layers = ", ".join(f"`{layer}`" for layer in told.get("layers", ())) or "all layers"
    at = "its own and the next token" if told.get("carriers") else "its own tokens"
    known = intervals(plan.name)
    few = ""
    if "map_miou_images" in known:
        few = (
            f" Readings of generated images other than `map_miou` are of the first seed, "
            f"{known['map_miou_images']:g} images; there own tokens give "
            f"{_spread(known['map_miou_own'], known, 'map_miou_own')}."
        )
    return (
        f"## Word maps\n\n`look` shows a word at {at}, in {layers}. The even test scenes chose "
        f"that, the layer that carries maps on, how maps are combined and the sharpness of "
        f"cosines; the figures are of the odd ones, to which nothing was fitted. Every threshold "
        f"is from the other half of scenes or prompts. Brackets hold the 95 % interval over scenes "
        f"or prompts; with a plus stands the paired difference to own tokens.{few}"
    )
