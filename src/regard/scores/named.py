"""Scores and judges by name; none is imported until it is asked for."""

from regard.registry import Registry

scores = Registry(
    "score",
    {
        "caption_similarity": "regard.scores.templates:caption_similarity",
        "clip_score": "regard.scores.clip:clip_score",
        "fid": "regard.scores.fidelity:fid",
        "image_similarity": "regard.scores.clip:image_similarity",
        "kid": "regard.scores.fidelity:kid",
        "miscounted_subjects": "regard.scores.presence:miscounted_subjects",
        "misbound_colours": "regard.scores.presence:misbound_colours",
        "neglected_subjects": "regard.scores.presence:neglected_subjects",
        "perceptual_distance": "regard.scores.perceptual:perceptual_distance",
        "prompt_similarity": "regard.scores.templates:prompt_similarity",
        "text_similarity": "regard.scores.clip:text_similarity",
        "minimum_object_similarity": "regard.scores.templates:minimum_object_similarity",
    },
)

judges = Registry(
    "judge",
    {
        "captions": "regard.scores.judges:Captions",
        "counts": "regard.scores.judges:Counts",
        "fit": "regard.scores.judges:Fit",
        "likeness": "regard.scores.change:Likeness",
        "losses": "regard.scores.judges:Losses",
        "pixels": "regard.scores.judges:Pixels",
        "presence": "regard.scores.judges:Presence",
        "seen": "regard.scores.change:Seen",
        "shift": "regard.scores.judges:Shift",
    },
)
