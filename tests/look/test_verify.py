from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import spatial

import tiny
from looks import PROMPT, generated, pipeline, seen
from regard.errors import ArgumentError
from regard.generation import Request, batches
from regard.generation.hidden import hide_words, masking
from regard.look import left_out, look, verify
from regard.methods import drop
from regard.models import TextToImage
from regard.scores.change import Likeness, Seen
from regard.tap import Tap, hide
from unchecked import unchecked

module = import_module("regard.look.verify")


def hidden_in(request, groups):
    return hide_words(TextToImage.of(pipeline()), request, groups).images


def image(**options):
    generator = torch.Generator().manual_seed(0)
    made = pipeline()(PROMPT, num_inference_steps=2, generator=generator, **options)
    return np.asarray(made.images[0])


def test_images_of_a_batch_that_hide_different_tokens_are_what_they_are_alone():
    request = Request(PROMPT, num_inference_steps=2)
    changes = [{"methods": (masking([2]),)}, {"methods": (masking([5, 6, 7]),)}, {}]
    together = [each.latents for each in generated(pipeline(), request, changes)]
    for change, latents in zip(changes, together, strict=True):
        (alone,) = generated(pipeline(), request, [change])
        torch.testing.assert_close(latents, alone.latents, atol=5e-5, rtol=0)
    assert not torch.equal(together[0], together[1])
    torch.testing.assert_close(together[2], seen().latents, atol=5e-5, rtol=0)


def words_of(found):
    return found[found["kind"] == "word"].set_index("word")


def test_a_distance_is_that_of_the_image_without_the_word():
    found = words_of(verify(pipeline(), seen()))
    whole = Request(PROMPT, num_inference_steps=2)
    made = hidden_in(whole, [seen().trace.tokens_of("turtle")])
    expected = np.abs(np.asarray(made[0]).astype(float) - seen().trace.image).mean() / 255
    # In a batch sums are added in another order, which may tip a rounding of 768 values.
    assert found.loc["turtle", "pixel_distance"] == pytest.approx(expected, abs=1e-4)
    assert expected > 0


def test_every_word_has_a_row_and_beside_them_padding_is_hidden():
    found = verify(pipeline(), seen())
    assert found.columns.tolist() == ["word", "seed", "kind", "distance", "pixel_distance", "seen"]
    assert tuple(words_of(found).index) == seen().trace.word_names
    assert (found["kind"] == "control").sum() == 2
    assert "compared with 2 of 2 padding tokens" in found.attrs["note"]
    assert "masked in every text encoder and in the denoiser" in found.attrs["note"]
    # The tiny model is not a bundled one, so nobody is asked what the images show.
    assert (found["seen"] == "").all()
    assert "in the latents of the model's own autoencoder" in found.attrs["note"]


def test_a_distance_is_that_of_the_latents_of_the_autoencoder():
    found = words_of(verify(pipeline(), seen()))
    made = hidden_in(Request(PROMPT, num_inference_steps=2), [seen().trace.tokens_of("cat")])
    encoded = []
    for each in (seen().image, made[0]):
        pixels = torch.tensor(np.asarray(each)).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            encoded.append(pipeline().vae.encode(pixels).latent_dist.mean[0].double().numpy())
    first, second = (each - encoded[0].mean((1, 2), keepdims=True) for each in encoded)
    assert found.loc["cat", "distance"] == pytest.approx(
        spatial.distance.cosine(first.ravel(), second.ravel()), abs=1e-4
    )


def test_batches_change_nothing_and_progress_counts_through_them(monkeypatch):
    whole = words_of(verify(pipeline(), seen()))
    monkeypatch.setattr(batches, "ROWS", 4)
    monkeypatch.setattr(module, "spared", lambda trace, rows: [])
    told = []
    parted = verify(pipeline(), seen(), progress=lambda done, steps: told.append((done, steps)))
    np.testing.assert_allclose(
        words_of(parted)["pixel_distance"], whole["pixel_distance"], atol=1e-3
    )
    # The image itself, 7 words and 2 pads are 3 batches of 2 steps each.
    assert told == [(done, 6) for done in (1, 2, 3, 4, 5, 6)]


def test_judges_say_what_changed():
    first = len(seen().trace.word_names)
    likeness = Likeness(
        lambda image, others: [1.0 - place / 10 for place in range(len(others))], "a made-up space"
    )
    seen_in = Seen(
        lambda images: (
            [("blue car", "cat"), ("cat", "blue car"), ("cat",), ()]
            + [("cat", "blue car")] * len(images)
        )[: len(images)]
    )
    judges = [likeness, seen_in]
    found = verify(pipeline(), seen(), judges=judges)
    assert found["seen"].tolist()[:4] == [
        "same",
        "blue car, cat -> cat",
        "blue car, cat -> nothing",
        "same",
    ]
    assert found["distance"].tolist()[:3] == pytest.approx([0.0, 0.1, 0.2])
    controls = found[found["kind"] == "control"]["distance"].tolist()
    assert controls == pytest.approx([first / 10, (first + 1) / 10])
    assert "by what is seen in them, then by 1 - cosine in a made-up space" in found.attrs["note"]


def alike():
    """Judges to whom all images are the same."""
    return [Likeness(lambda image, others: [1.0] * len(others), "nothing")]


def changing(*needed):
    """Judges to whom the images at some places of the second and later comparisons are others."""
    comparisons = iter([(), *needed])

    def likeness(image, others):
        changed = next(comparisons)
        return [0.0 if place in changed else 1.0 for place in range(len(others))]

    return [Likeness(likeness)]


def together_of(found):
    return found[found["kind"] == "together"]["word"].tolist()


def test_words_that_were_not_needed_are_hidden_together_the_likeliest_first(monkeypatch):
    monkeypatch.setattr(left_out, "PAIRS", 3)
    twice = look(pipeline(), "a big cat, a cat", num_inference_steps=1)
    found = verify(pipeline(), twice, judges=changing([0], []))
    # All of them; then words that are said twice, the nearest first, and then neighbours.
    assert together_of(found) == [
        "a + big + cat + a#2 + cat#2",
        "cat + cat#2",
        "a + a#2",
        "a + big",
    ]
    tokens = [*twice.trace.tokens_of("cat"), *twice.trace.tokens_of("cat#2")]
    (made,) = hidden_in(Request("a big cat, a cat", num_inference_steps=1), [tokens])
    expected = np.abs(np.asarray(made).astype(float) - twice.trace.image).mean() / 255
    row = found[found["word"] == "cat + cat#2"].iloc[0]
    assert row["pixel_distance"] == pytest.approx(expected, abs=1e-4)


def test_where_all_together_change_nothing_no_pair_is_tried():
    short = look(pipeline(), "a cat on grass", num_inference_steps=1)
    assert together_of(verify(pipeline(), short, judges=alike())) == ["a + cat + on + grass"]


def test_a_word_that_was_needed_is_hidden_with_none():
    def likeness(image, others):
        return [0.0 if place == 1 else 1.0 for place in range(len(others))]

    found = verify(
        pipeline(),
        look(pipeline(), "a cat on grass", num_inference_steps=1),
        judges=[Likeness(likeness)],
    )
    assert together_of(found) == ["a + on + grass"]


def test_several_seeds_are_each_compared_with_their_own_image():
    short = look(pipeline(), "a cat", num_inference_steps=1, seed=5)
    found = verify(pipeline(), short, seeds=2)
    assert words_of(found)["seed"].tolist() == [5, 5, 6, 6]
    other = look(pipeline(), "a cat", num_inference_steps=1, seed=6)
    alone = verify(pipeline(), other)
    np.testing.assert_allclose(
        words_of(found[found["seed"] == 6])["pixel_distance"],
        words_of(alone)["pixel_distance"],
        atol=1e-3,
    )
    assert (found[found["kind"] == "control"].groupby("seed").size() == left_out.CONTROLS).all()
    judged = short.with_verification(found).trace.words()
    assert judged["seeds"].dropna().unique().tolist() == [2]


def test_the_own_key_is_masked_in_the_denoiser_alone():
    found = verify(pipeline(), seen(), own_key=True)
    own = found[found["kind"] == "own key"].set_index("word")
    with Tap(pipeline(), edit=[hide([5, 6, 7, 8, 9, 10])]):
        dropped = image()
    expected = np.abs(dropped.astype(float) - seen().trace.image).mean() / 255
    assert own.loc["turtle", "pixel_distance"] == pytest.approx(expected, abs=1e-4)
    assert own.loc["turtle", "pixel_distance"] != words_of(found).loc["turtle", "pixel_distance"]


def test_a_look_that_had_its_own_initial_noise_is_verified_from_it():
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    verified = look(pipeline(), "a cat", num_inference_steps=2, latents=noise, verify=True)
    assert len(words_of(verified.verification)) == 2
    with pytest.raises(ArgumentError, match="gave another image, .* pass latents= if the look had"):
        verify(pipeline(), look(pipeline(), "a cat", num_inference_steps=2, latents=noise))


def test_an_image_that_does_not_come_again_verifies_nothing():
    # The fault: every word was called redundant where the scheduler drew noise of its own.
    from diffusers import DDPMScheduler

    stochastic = tiny.tiny_pipeline()
    stochastic.scheduler = DDPMScheduler.from_config(stochastic.scheduler.config)
    short = look(stochastic, "a cat", num_inference_steps=2)
    other = replace(short, image=look(stochastic, "a cat", num_inference_steps=2, seed=1).image)
    with pytest.raises(ArgumentError, match="gave another image"):
        verify(stochastic, other)


def test_an_empty_image_verifies_nothing():
    empty = replace(seen(), image=Image.new("RGB", (16, 16)))
    with pytest.raises(
        ArgumentError, match="verify: an image shows nothing: all of it is one colour"
    ):
        verify(pipeline(), empty)


def test_what_verify_is_asked_is_checked():
    with pytest.raises(ArgumentError, match="seeds is 0 and must be 1 or more"):
        verify(pipeline(), seen(), seeds=0)
    with pytest.raises(ArgumentError, match="initial noise was given, which has no seed"):
        verify(pipeline(), seen(), seeds=2, latents=torch.zeros(1, 4, 8, 8))
    steered = look(pipeline(), "a cat", num_inference_steps=1, methods=[drop("cat")])
    with pytest.raises(
        ArgumentError, match="made under drop, and words are hidden from the baseline"
    ):
        verify(pipeline(), steered)


class Even:
    """A judge of one's own: every image is half as far away as can be."""

    units = {"distance": "1"}

    def recipe(self):
        return {"judge": "even"}

    def __call__(self, images, requests, baseline):
        assert {each.prompt for each in requests} == {PROMPT}
        return {"distance": [0.5] * len(images), "more": [1] * len(images)}


def test_a_judge_of_ones_own_gives_the_columns_that_it_knows():
    found = verify(pipeline(), seen(), judges=[Even()])
    assert set(found["distance"]) == {0.5}
    assert (found["pixel_distance"] > 0).any()
    assert (found["seen"] == "").all()
    assert found.columns.tolist() == ["word", "seed", "kind", "distance", "pixel_distance", "seen"]
    assert "Images are compared by the judge even." in found.attrs["note"]


@pytest.mark.parametrize("wrong", [Even(), [], [Even], "even", [3]])
def test_what_is_no_list_of_judges_is_refused(wrong):
    with pytest.raises(ArgumentError, match="verify: judges is .* must be a list of judges of"):
        unchecked(verify, pipeline(), seen(), judges=wrong)


def test_a_verification_changes_the_verdicts_and_is_told_in_the_recipe():
    verified = look(pipeline(), PROMPT, num_inference_steps=2, verify=True)
    table = verified.trace.words()
    tried = table[table["role"] == "word"]
    assert tried["pixel_distance"].notna().all()
    assert tried["verdict"].str.contains("at this seed").all()
    assert verified.trace.recipe["verification"] == verified.verification.attrs["note"]
    assert repr(verified).endswith("7 words verified)")


def test_without_padding_the_initial_noise_is_shaken_instead_and_the_note_says_so():
    full = "a cat and a dog on the road in the snow with a red"
    short = look(pipeline(), full, num_inference_steps=1)
    found = verify(pipeline(), short)
    assert (
        "no padding tokens: words are compared with a change of the initial"
        in (found.attrs["note"])
    )
    noise = found[found["kind"] == "control"]
    assert noise["word"].tolist() == ["[noise]"] * left_out.CONTROLS
    assert noise["pixel_distance"].nunique() > 1
    part = verify(pipeline(), look(pipeline(), full, num_inference_steps=1, words=["cat"]))
    assert tuple(words_of(part).index) == ("cat",)


def test_another_model_verifies_nothing():
    other = tiny.tiny_pipeline(channels=(8, 24))
    with pytest.raises(
        ArgumentError,
        match="verify: this is not the model that the recipe was made with: its weights",
    ):
        verify(other, seen())
