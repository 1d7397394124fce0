import numpy as np
import pytest
import torch

import tiny
from looks import PROMPT, pipeline, seen
from regard.errors import ArgumentError
from regard.look import Judges, generate, look, proof, prove
from regard.look.settings import Settings
from regard.tap import Tap, hide
from regard.zoo import judge


def latents(edits, rows=1):
    with Tap(pipeline(), edit=edits):
        return generate.generate(pipeline(), Settings(PROMPT, steps=2), rows=rows).latents


def image(**options):
    generator = torch.Generator().manual_seed(0)
    made = pipeline()(
        PROMPT, num_inference_steps=2, guidance_scale=4.0, generator=generator, **options
    )
    return np.asarray(made.images[0])


def test_a_batch_of_two_with_an_edit_each_is_two_batches_of_one():
    both = latents([hide([2], sample=0), hide([5, 6, 7], sample=1)], rows=2)
    for row, tokens in enumerate(([2], [5, 6, 7])):
        torch.testing.assert_close(both[row], latents([hide(tokens)])[0], atol=1e-5, rtol=0)
    assert not torch.equal(both[0], both[1])


def test_a_row_without_an_edit_is_as_if_alone():
    both = latents([hide([2], sample=0)], rows=2)
    torch.testing.assert_close(both[1], seen().latents[0], atol=1e-5, rtol=0)


def test_a_distance_is_that_of_the_image_without_the_word():
    with Tap(pipeline(), edit=[hide([5, 6, 7, 8, 9, 10])]):
        dropped = image()
    expected = np.abs(dropped.astype(float) - seen().trace.image).mean() / 255
    found = prove(pipeline(), seen()).set_index("word")
    # In a batch sums are added in another order, which may tip a rounding of 768 values.
    assert found.loc["turtle", "pixel_distance"] == pytest.approx(expected, abs=1e-4)
    assert expected > 0


def test_every_word_has_a_row_and_every_row_the_same_padding():
    found = prove(pipeline(), seen())
    assert found.columns.tolist() == [
        "word",
        "pixel_distance",
        "pad_pixel_distance",
        "clip_similarity",
        "pad_clip_similarity",
        "segmenter",
    ]
    assert tuple(found["word"]) == seen().trace.word_names
    assert found["pad_pixel_distance"].nunique() == 1
    assert found.attrs["note"] in {f"Compared with dropping padding token {n}." for n in (14, 15)}
    # The tiny model is not a bundled one, so nobody is asked what the images show.
    assert found["clip_similarity"].isna().all()
    assert (found["segmenter"] == "").all()


def test_batches_change_nothing_and_progress_counts_through_them(monkeypatch):
    whole = prove(pipeline(), seen())
    monkeypatch.setattr(generate, "ROWS", 3)
    told = []
    parted = prove(pipeline(), seen(), progress=lambda done, steps: told.append((done, steps)))
    np.testing.assert_allclose(parted["pixel_distance"], whole["pixel_distance"], atol=1e-4)
    # 7 words and a pad are 3 batches of 2 steps each.
    assert told == [(done, 6) for done in (1, 2, 3, 4, 5, 6)]


def test_judges_say_what_changed():
    judges = Judges(
        likeness=lambda first, others: [1.0 - place / 10 for place in range(len(others))],
        sight=lambda images: (
            [("blue car", "cat"), ("cat", "blue car"), ("cat",), ()]
            + [("cat", "blue car")] * (len(images) - 4)
        ),
    )
    found = prove(pipeline(), seen(), judges=judges)
    assert found["segmenter"].tolist()[:4] == [
        "same",
        "blue car, cat -> cat",
        "blue car, cat -> nothing",
        "same",
    ]
    assert found["clip_similarity"].tolist()[:3] == [1.0, 0.9, 0.8]
    assert found["pad_clip_similarity"].unique().tolist() == [pytest.approx(0.3)]


def test_only_objects_are_named_with_their_colour(monkeypatch):
    mask = np.ones((2, 2), bool)
    shown = {"cat": judge.Sighting(mask, "gray", 0.5), "car": judge.Sighting(mask, "blue", 0.4)}
    monkeypatch.setattr(judge, "see", lambda images: [judge.Seen(shown)] * len(images))
    assert proof._sight([seen().image]) == [("cat", "blue car")]


def test_a_proof_changes_the_verdicts_and_is_told_in_the_recipe():
    proved = look(pipeline(), PROMPT, steps=2, prove=True)
    table = proved.trace.words()
    tried = table[table["role"] == "word"]
    assert tried["pixel_distance"].notna().all()
    assert set(tried["verdict"]) <= {
        "matters",
        "redundant",
        "looks redundant, but matters",
        "redundant, though it looks important",
    }
    assert proved.trace.recipe["proof"] == proved.proof.attrs["note"]
    assert repr(proved).endswith("7 words proved)")


def test_without_padding_a_special_token_stands_in_and_the_note_says_so():
    full = "a cat and a dog on the road in the snow with a red"
    found = prove(pipeline(), look(pipeline(), full, steps=1))
    assert found.attrs["note"].startswith("The prompt leaves no room for padding: compared with")
    part = prove(pipeline(), look(pipeline(), full, steps=1, words=["cat"]))
    assert part.attrs["note"].endswith("dropping the end token.")
    assert part["word"].tolist() == ["cat"]


def test_another_model_proves_nothing():
    other = tiny.tiny_pipeline(channels=(8, 24))
    with pytest.raises(ArgumentError, match="Give the model that made it"):
        prove(other, seen())
