from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from regard.data.drawings import SUBJECTS
from regard.data.scenes import HELD_OUT_PAIRS, Mention, caption
from regard.experiments.generation import (
    Asked,
    Drawn,
    Watch,
    held_out_iou,
    pair_figures,
    read_as,
    readings_of,
    single_figures,
    single_prompts,
    word_map,
)
from regard.models.detector import Detection, Detections
from regard.zoo.cards import FIGURES, READINGS, reading_key

EMPTY = xr.DataArray(np.zeros((1, 1, 1)), dims=("token", "y", "x"))


def drawn(prompt, **seen):
    """A picture of which the segmenter says ``subject=colour``."""
    subjects = {
        name: Detection(np.ones((2, 2), bool), colour, 1.0) for name, colour in seen.items()
    }
    return Drawn(prompt, 0, None, Detections(subjects), EMPTY)


def test_single_figures_by_hand():
    found = single_figures(
        [
            drawn("a red car", car="red"),
            drawn("a red car", car="blue"),
            drawn("a red car", cat="red"),  # no car, so no car of the right colour either
            drawn("a cat on the lake", cat="gray"),
        ]
    )
    assert found == {"subject_shown": 3 / 4, "colour_right": pytest.approx(1 / 3)}


def test_pair_figures_by_hand():
    first, second = sorted(next(iter(sorted(map(sorted, HELD_OUT_PAIRS)))), key=SUBJECTS.index)
    held_out = caption([Mention(first), Mention(second)])
    found = pair_figures(
        [
            drawn("a cat and a red car", cat="gray", car="red"),
            drawn("a cat and a red car", cat="gray", car="blue"),
            drawn("a cat and a red car", car="red"),
            drawn("a cat and a red car"),
            drawn("a cat and a dog", cat="gray", dog="brown"),
            drawn(held_out, **{first: "red"}),
        ]
    )
    assert found["both_present"] == 3 / 6
    assert found["one_neglected"] == 2 / 6
    assert found["both_present_held_out_pairs"] == 0.0
    assert found["colours_bound_right"] == 1 / 2  # of two that show both, one coloured


def test_every_subject_is_asked_for_twice_at_every_seed():
    wanted = single_prompts(4)
    assert len(wanted) == len(set(wanted)) == 24 * 2 * 4
    assert sum(" on the " in prompt for prompt, _ in wanted) == 24 * 4


def test_the_threshold_is_chosen_on_one_set_and_told_of_the_other():
    # Chosen on: the mask is where the map is above the middle. Told of: at that threshold the hot
    # part is two of the four pixels, of which the mask has one and one beside: 1 / 3.
    chosen = xr.DataArray([[0.0, 0.1, 0.9, 1.0]], dims=("y", "x"))
    told = xr.DataArray([[0.0, 0.05, 0.95, 1.0]], dims=("y", "x"))
    mask = xr.DataArray([[False, True, False, True]], dims=("y", "x"))
    assert held_out_iou([(chosen, chosen > 0.5)], [(told, mask)]) == pytest.approx(1 / 3)


def tokenizer(prompt, **_):
    """One token per word between a start and an end token."""
    offsets, start = [(0, 0)], 0
    for word in prompt.split():
        start = prompt.index(word, start)
        offsets.append((start, start + len(word)))
        start += len(word)
    return SimpleNamespace(offset_mapping=[*offsets, (0, 0)])


@pytest.mark.parametrize(
    ("prompt", "word", "token"),
    [
        ("a cat and a car", "car", 5),
        ("a lion on the beach", "on", 3),  # not the end of 'lion'
        ("a bowl and a bow", "bow", 5),  # not the start of 'bowl'
        ("a blue balloon on the lake", "on", 4),
    ],
)
def test_the_map_of_a_word_is_that_of_the_word_not_of_its_letters(prompt, word, token):
    maps = xr.DataArray(np.arange(8.0).reshape(8, 1, 1), dims=("token", "y", "x"))
    pipeline = SimpleNamespace(tokenizer=tokenizer)
    assert word_map(pipeline, prompt, word, maps).item() == token


PIPELINE = SimpleNamespace(tokenizer=tokenizer)
TEXT = "a cat and a car"  # start, a, cat, and, a, car, end


def token_maps(values):
    return xr.DataArray(np.array(values, float).reshape(-1, 1, 1), dims=("token", "y", "x"))


@pytest.mark.parametrize(
    ("word", "asked", "expected"),
    [
        ("cat", None, 2),
        ("cat", ["cat", "car"], 2 + 3),
        ("cat", ["cat", "and"], 2),  # 'and' is asked for itself
        ("car", ["cat", "car"], 5),  # the end carries no word
    ],
)
def test_a_map_of_a_benchmark_counts_the_next_token_that_is_free(word, asked, expected):
    maps = token_maps(range(7))
    assert word_map(PIPELINE, TEXT, word, maps, asked=asked).item() == expected


def test_readings_by_hand():
    maps = {
        "finest": token_maps([9, 1, 2, 3, 4, 5, 9]),
        "shown": token_maps([9, 1, 2, 2, 1, 3, 9]),
        "carried": token_maps([0, 1, 4, 4, 1, 1, 0]),
        "dot": token_maps([0, 0, 7, 1, 0, 0, 0]),
        "output": token_maps([0, 0, 5, 1, 0, 0, 0]),
    }
    found = {
        name: read_as(name, PIPELINE, TEXT, "cat", maps, ["cat", "car"]).item() for name in READINGS
    }
    # regions: (2 + 4) + (2 + 4) of what all five words have together, 9 + 11.
    assert found == {
        "own": 2, "carriers": 5, "shown": 4, "dot": 8, "output": 6, "propagated": 8,
        "regions": 12 / 20,
    }  # fmt: skip


def test_each_reading_has_a_figure_an_interval_and_what_it_gained():
    """Own tokens hit the mask in every second image, and with the next token in all."""
    row = ("token", "y", "x")
    mask = xr.DataArray([[True, False]], dims=("y", "x"))
    asked = []
    for number in range(12):
        own = [1.0, 0.0] if number % 4 < 2 else [0.0, 1.0]
        values = np.zeros((7, 1, 2))
        values[2], values[3] = own, [5.0, 0.0]
        maps = {"finest": xr.DataArray(values, dims=row)}
        asked.append(Asked(number, TEXT, "cat", ["cat", "car"], maps, mask))
    found = readings_of(PIPELINE, "map_miou", asked)
    assert found["map_miou"] == pytest.approx(1 / 2)
    assert found["map_miou_carriers"] == 1.0
    assert found["map_miou_carriers_gain"] == pytest.approx(1 / 2)
    assert found["map_miou_carriers_gain_low"] <= 1 / 2 <= found["map_miou_carriers_gain_high"]
    assert "map_miou_regions" not in found  # nothing of that kind was watched


def test_every_reading_has_its_words_in_the_card():
    for figure in ("map_miou", "map_miou_true_mask"):
        assert {reading_key(figure, reading) for reading in READINGS} <= set(FIGURES)


def test_what_is_watched_in_a_batch_is_what_it_is_alone():
    import torch

    from regard.models import load

    pipeline, prompts = load("openmoji").pipeline, ["a cat", "a red car on the beach"]

    def watched(texts):
        watch = Watch(pipeline, texts)
        noise = [torch.Generator().manual_seed(0) for _ in texts]
        with watch.tap(pipeline):
            pipeline(texts, num_inference_steps=1, generator=noise, output_type="latent")
        return watch.maps()

    both = watched(prompts)
    for prompt, maps in zip(prompts, both, strict=True):
        (alone,) = watched([prompt])
        for name, each in alone.items():
            np.testing.assert_allclose(maps[name], each, atol=1e-5, err_msg=name)
    assert both[0]["output"].isel(token=slice(3, None)).max() == 0  # start, a, cat
