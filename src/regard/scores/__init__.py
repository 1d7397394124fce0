"""Numbers of images: how well they fit a text, how far apart they are, and what they show.

`scores` lists them; each is an attribute of this package too, such as `regard.scores.clip_score`.
Most need an encoder, and load torch when they are called. `regard.scores.judges` has what
experiments ask of each image, and `regard.scores.evidence` who says what changed from one image to
another.
"""

from typing import TYPE_CHECKING, Any

from regard.registry import Registry, hand_out

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # each of the table


__all__ = ["scores"]

scores = Registry(
    "score",
    {
        "caption_similarity": "regard.scores.templates:caption_similarity",
        "clip_score": "regard.scores.clip:clip_score",
        "fid": "regard.scores.fidelity:fid",
        "image_similarity": "regard.scores.clip:image_similarity",
        "kid": "regard.scores.fidelity:kid",
        "misbound_colours": "regard.scores.presence:misbound_colours",
        "neglected_subjects": "regard.scores.presence:neglected_subjects",
        "perceptual_distance": "regard.scores.perceptual:perceptual_distance",
        "prompt_similarity": "regard.scores.templates:prompt_similarity",
        "text_similarity": "regard.scores.clip:text_similarity",
        "weaker_half": "regard.scores.templates:weaker_half",
    },
)

hand_out(__name__, {}, scores)
