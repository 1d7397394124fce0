from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from regard.data.drawings import SUBJECTS
from regard.data.scenes import HELD_OUT_PAIRS, Mention, caption, mentions_in
from regard.experiments.evaluations.generated import (
    count_figures,
    each_subject,
    generated,
    generated_maps,
    pair_figures,
    single_figures,
)
from regard.experiments.evaluations.noised import _noise, _other_words, noised, true_maps
from regard.experiments.evaluations.openmoji import ONE, SEVERAL, wanted
from regard.experiments.evaluations.subject_maps import model
from regard.experiments.evaluations.task import Chunk, with_ends
from regard.experiments.evaluations.word_maps import (
    NamedSubject,
    WordWatch,
    held_out_iou,
    read_as,
    readings_of,
    word_map,
)
from regard.generation import Request, generate
from regard.measures.place import iou
from regard.measures.thresholds import best_threshold
from regard.models import TextToImage
from regard.models.detector import Detection, Detections
from regard.scores.presence import misbound_colours, neglected_subjects
from regard.zoo import recipe
from regard.zoo.cards import FIGURES, READINGS, reading_key

OPENMOJI = recipe("openmoji")


def row(prompt, **seen):
    """The row of an image of which the segmenter says ``subject=colour``."""
    subjects = {
        name: Detection(np.ones((2, 2), bool), colour, 1.0) for name, colour in seen.items()
    }
    found = [prompt], [Detections(subjects)]
    neglected, misbound = (each(*found).item() for each in (neglected_subjects, misbound_colours))
    return {"prompt": prompt, "seed": 0, "neglected": neglected, "misbound": misbound}


def means(figures):
    """The figures without the ends of their intervals."""
    return {key: each for key, each in figures.items() if not key.endswith(("_low", "_high"))}


def test_intervals_are_over_prompts():
    few = [row("a red car", car="red"), row("a red car")]
    assert "subject_shown_low" not in single_figures(few)  # one prompt says nothing of others
    many = [row(f"a {name}", **({name: "red"} if n % 3 else {})) for n, name in enumerate(SUBJECTS)]
    found = single_figures(many)
    # By Wilson's interval of 16 of 24.
    assert found["subject_shown"] == pytest.approx(2 / 3)
    assert found["subject_shown_low"] == pytest.approx(0.467, abs=0.01)
    assert found["subject_shown_high"] == pytest.approx(0.820, abs=0.01)


def test_an_interval_of_scenes_covers_what_is_known_of_a_mean():
    rows = np.random.default_rng(1).normal(5.0, 2.0, 400)
    found = with_ends(lambda some: {"mean": float(np.mean(some))}, list(rows))
    half = 1.96 * rows.std(ddof=1) / 20
    assert found["mean_low"] == pytest.approx(rows.mean() - half, abs=0.05)
    assert found["mean_high"] == pytest.approx(rows.mean() + half, abs=0.05)


def test_single_figures_by_hand():
    found = single_figures(
        [
            row("a red car", car="red"),
            row("a red car", car="blue"),
            row("a red car", cat="red"),  # no car, so no car of the right colour either
            row("a cat on the lake", cat="gray"),
        ]
    )
    assert means(found) == {"subject_shown": 3 / 4, "colour_right": pytest.approx(1 / 3)}


def test_pair_figures_by_hand():
    first, second = sorted(next(iter(sorted(map(sorted, HELD_OUT_PAIRS)))), key=SUBJECTS.index)
    held_out = caption([Mention(first), Mention(second)])
    found = pair_figures(
        [
            row("a cat and a red car", cat="gray", car="red"),
            row("a cat and a red car", cat="gray", car="blue"),
            row("a cat and a red car", car="red"),
            row("a cat and a red car"),
            row("a cat and a dog", cat="gray", dog="brown"),
            row(held_out, **{first: "red"}),
        ]
    )
    assert found["both_present"] == 3 / 6
    assert found["one_neglected"] == 2 / 6
    assert found["both_present_held_out_pairs"] == 0.0
    assert found["colours_bound_right"] == 1 / 2  # of two that show both, one coloured


@pytest.mark.parametrize("what", [ONE, SEVERAL])
def test_every_subject_is_asked_for_twice_at_every_seed(what):
    asked = wanted(what, quick=False)
    assert len(asked) == len(set(asked)) == 24 * 2 * 4
    assert sum(" on the " in prompt for prompt, _ in asked) == 24 * 4
    counts = {mention.count for prompt, _ in asked for mention in mentions_in(prompt)}
    assert counts == ({1} if what == ONE else {2, 3})


def test_numbers_and_each_subject_by_hand():
    rows = [row("two cats", cat="gray"), row("a cat"), row("a cat", cat="gray"), row("a bow")]
    rows[0]["miscounted"] = 0.0
    assert means(count_figures([rows[0], {**rows[0], "miscounted": 1.0}])) == {"count_right": 0.5}
    assert means(each_subject(rows[1:])) == {"subject_shown_cat": 0.5, "subject_shown_bow": 0.0}


def test_the_threshold_is_chosen_on_one_set_and_told_of_the_other():
    # Chosen on: the mask is where the map is above the middle. Told of: at that threshold the hot
    # part is two of the four pixels, of which the mask has one and one beside: 1 / 3.
    chosen = xr.DataArray([[0.0, 0.1, 0.9, 1.0]], dims=("y", "x"))
    told = xr.DataArray([[0.0, 0.05, 0.95, 1.0]], dims=("y", "x"))
    mask = xr.DataArray([[False, True, False, True]], dims=("y", "x"))
    assert held_out_iou([(chosen, chosen > 0.5)], [(told, mask)]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("prompt", "word", "token"),
    [
        ("a cat and a car", "car", 5),
        ("a lion on the beach", "on", 3),  # not the end of 'lion'
        ("a bowl and a bow", "bow", 5),  # not the start of 'bowl'
        ("a blue balloon on the lake", "on", 5),  # "balloon" has two tokens
    ],
)
def test_the_map_of_a_word_is_that_of_the_word_not_of_its_letters(prompt, word, token):
    maps = xr.DataArray(np.arange(8.0).reshape(8, 1, 1), dims=("token", "y", "x"))
    assert word_map(model().tokenize(prompt), word, maps).item() == token


@pytest.fixture
def text():
    """Start, a, cat, and, a, car, end."""
    return model().tokenize("a cat and a car")


def token_maps(values):
    return xr.DataArray(np.array(values, float).reshape(-1, 1, 1), dims=("token", "y", "x"))


@pytest.mark.parametrize(
    ("word", "among", "expected"),
    [
        ("cat", None, 2),
        ("cat", ["cat", "car"], 2 + 3),
        ("cat", ["cat", "and"], 2),  # 'and' is asked for itself
        ("car", ["cat", "car"], 5),  # the end carries no word
    ],
)
def test_a_map_of_a_benchmark_counts_the_next_token_that_is_free(text, word, among, expected):
    assert word_map(text, word, token_maps(range(7)), among=among).item() == expected


def test_readings_by_hand(text):
    maps = {
        "finest": token_maps([9, 1, 2, 3, 4, 5, 9]),
        "shown": token_maps([9, 1, 2, 2, 1, 3, 9]),
        "carried": token_maps([0, 1, 4, 4, 1, 1, 0]),
        "dot": token_maps([0, 0, 7, 1, 0, 0, 0]),
        "output": token_maps([0, 0, 5, 1, 0, 0, 0]),
    }
    found = {name: read_as(name, text, "cat", maps, ["cat", "car"]).item() for name in READINGS}
    # regions: (2 + 4) + (2 + 4) of what all five words have together, 9 + 11.
    assert found == {
        "own": 2, "carriers": 5, "shown": 4, "dot": 8, "output": 6, "propagated": 8,
        "regions": 12 / 20,
    }  # fmt: skip


def test_each_reading_has_a_figure_an_interval_and_what_it_gained():
    """Own tokens hit the mask in every second image, and with the next token in all."""
    mask = xr.DataArray([[True, False]], dims=("y", "x"))
    hit, missed = (xr.DataArray([each], dims=("y", "x")) for each in ([1.0, 0.0], [0.0, 1.0]))
    subjects = [
        NamedSubject(number, {"own": hit if number % 4 < 2 else missed, "carriers": hit}, mask)
        for number in range(12)
    ]
    found = readings_of("map_miou", subjects)
    assert found["map_miou"] == pytest.approx(1 / 2)
    assert found["map_miou_carriers"] == 1.0
    assert found["map_miou_carriers_gain"] == pytest.approx(1 / 2)
    assert found["map_miou_carriers_gain_low"] <= 1 / 2 <= found["map_miou_carriers_gain_high"]
    assert "map_miou_regions" not in found  # nothing of that kind was observed


def test_every_reading_has_its_words_in_the_card():
    for figure in ("map_miou", "map_miou_true_mask"):
        assert {reading_key(figure, reading) for reading in READINGS} <= set(FIGURES)


def test_what_is_observed_in_a_batch_is_what_it_is_alone():
    openmoji, prompts = TextToImage.of(model()), ["a cat", "a red car on the beach"]

    def observed(prompts):
        watch = WordWatch(openmoji, [openmoji.tokenize(each) for each in prompts])
        requests = [Request(each, num_inference_steps=1) for each in prompts]
        generate(openmoji, requests, observe=watch.observers)
        return watch.maps()

    both = observed(prompts)
    for prompt, maps in zip(prompts, both, strict=True):
        (alone,) = observed([prompt])
        for name, each in alone.items():
            np.testing.assert_allclose(maps[name], each, atol=1e-5, err_msg=name)
    assert both[0]["output"].isel(token=slice(3, None)).max() == 0  # start, a, cat


def test_of_generated_images_verdicts_maps_and_masks_are_kept(monkeypatch):
    """As if the segmenter saw the cat of the first image, and the dog of the second."""
    masks = [np.zeros((64, 64), bool), np.ones((64, 64), bool)]
    masks[0][:32] = True
    seen = [
        Detections({name: Detection(mask, colour, 1.0)})
        for name, colour, mask in zip(("cat", "dog"), ("gray", "brown"), masks, strict=True)
    ]
    home = "regard.experiments.evaluations.generated"
    plan = replace(OPENMOJI, sampling={"num_inference_steps": 2, "guidance_scale": 4.0})
    monkeypatch.setattr(f"{home}.detect", lambda images, model: seen[: len(images)])
    asked = [("a cat and a red car", 0), ("a dog", 3)]
    done = generated(plan, asked)
    assert [(each["prompt"], each["seed"]) for each in done.rows] == asked
    assert [each["neglected"] for each in done.rows] == [0.5, 0.0]
    assert done.images.shape == (2, 64, 64, 3)
    assert [label.split(" [")[0] for label in done.labels] == [prompt for prompt, _ in asked]
    assert done.values == ["a cat and a red car", "a dog"]
    np.testing.assert_array_equal(done.arrays["masks"], masks)
    assert {name: each.shape for name, each in done.arrays.items() if name != "masks"} == (
        dict.fromkeys(READINGS, (2, 16, 16))
    )
    alone = generate(model(), [Request("a dog", seed=3, num_inference_steps=2, guidance_scale=4.0)])
    assert np.abs(done.images[1].astype(int) - np.asarray(alone[0].image)).max() <= 1
    figures = generated_maps({Chunk("two subjects", 0, 2): done})
    cat, dog = (xr.DataArray(each, dims=("y", "x")) for each in done.arrays["own"])
    lower, whole = (xr.DataArray(each, dims=("y", "x")) for each in masks)
    limit = best_threshold([cat], [lower])
    assert figures["map_miou"] == pytest.approx(iou(dog, whole, threshold=limit).item())


def test_noised_scenes_are_the_same_whichever_chunks_they_are_read_in():
    """Noise and other words are drawn for all scenes in order."""
    chunks = Chunk("noised scenes", 0, 24), Chunk("noised scenes", 24, 28)
    first, second = (noised(OPENMOJI, each) for each in chunks)
    assert set(second.values) == {24, 25, 26, 27}
    drawn = torch.Generator().manual_seed(0)
    torch.randn((24, 3), generator=drawn)
    assert torch.equal(_noise(Chunk("", 24, 28), (3,)), torch.randn((4, 3), generator=drawn))
    assert _other_words(OPENMOJI, 28)[:24] == _other_words(OPENMOJI, 24)
    chunks = {Chunk("noised scenes", 0, 24): first, Chunk("noised scenes", 24, 28): second}
    found = true_maps(chunks)
    assert found["map_miou_true_mask"] > found["map_miou_disc"] > found["map_miou_shuffled"]
