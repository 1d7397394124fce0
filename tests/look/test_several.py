import json

import numpy as np
import pytest
import torch

from looks import pipeline, seen
from regard import Look, Looks, look
from regard.errors import ArgumentError, OutputError, PromptError
from regard.generation import batches
from regard.methods import drop
from unchecked import unchecked

PROMPTS = ["a cat", "a big turtle on grass", "a cat"]
SEEDS = [3, 3, 4]
TWO = {"num_inference_steps": 2}


@pytest.fixture(scope="module")
def several():
    return look(pipeline(), PROMPTS, seed=SEEDS, self_attention=[(0.5, 0.5)], **TWO)


def same(found, alone):
    """One look is another, but for rounding: in a batch sums are added in another order."""
    torch.testing.assert_close(found.latents, alone.latents, atol=1e-5, rtol=0)
    assert np.abs(np.asarray(found.image, int) - np.asarray(alone.image)).max() <= 1
    assert found.trace.word_names == alone.trace.word_names
    assert list(found.trace.layers) == list(alone.trace.layers)
    for name, layer in alone.trace.layers.items():
        assert found.trace.layers[name].sizes == layer.sizes
        np.testing.assert_allclose(found.trace.layers[name].values, layer.values, atol=1e-5)
    timed = ("seconds", "parity_error")
    recipes = [
        {name: value for name, value in each.trace.recipe.items() if name not in timed}
        for each in (found, alone)
    ]
    assert recipes[0] == recipes[1]


def test_each_look_of_a_batch_is_what_it_is_alone(several):
    assert len(several) == 3
    for found, prompt, seed in zip(several, PROMPTS, SEEDS, strict=True):
        alone = look(pipeline(), prompt, seed=seed, self_attention=[(0.5, 0.5)], **TWO)
        same(found, alone)
    assert not torch.equal(several[0].latents, several[2].latents)


def test_they_are_generated_at_once(monkeypatch):
    steps = []
    look(pipeline(), "a cat", seed=[0, 1, 2], on_step=lambda event: steps.append(event), **TWO)
    assert [len(each.latents) for each in steps] == [3, 3]
    monkeypatch.setattr(batches, "ROWS", 2)
    told = []
    parted = look(
        pipeline(), "a cat", seed=[0, 1, 2], progress=lambda *given: told.append(given), **TWO
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for seed, each in enumerate(parted):
        same(each, look(pipeline(), "a cat", seed=seed, **TWO))


def test_under_methods_they_are_generated_one_after_another():
    steps = []
    found = look(
        pipeline(),
        ["a cat", "a big cat"],
        methods=[drop("cat")],
        on_step=lambda event: steps.append(len(event.latents)),
        **TWO,
    )
    assert steps == [1, 1, 1, 1]
    alone = look(pipeline(), "a big cat", methods=[drop("cat")], **TWO)
    assert torch.equal(found[1].latents, alone.latents)


def test_one_of_either_goes_with_all_of_the_other():
    found = look(pipeline(), "a cat", seed=(5, 6), num_inference_steps=1)
    assert [each.trace.recipe["seed"] for each in found] == [5, 6]
    found = look(pipeline(), ["a cat", "a dog"], seed=7, num_inference_steps=1)
    assert [each.trace.recipe["prompt"] for each in found] == ["a cat", "a dog"]
    assert {each.trace.recipe["seed"] for each in found} == {7}


def test_a_list_of_one_is_a_list():
    assert isinstance(look(pipeline(), ["a cat"], num_inference_steps=1), Looks)
    one = unchecked(look, pipeline(), "a cat", seed=np.int64(1), num_inference_steps=1)
    assert isinstance(one, Look)


def test_the_same_initial_noise_serves_several_prompts():
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    found = look(pipeline(), ["a cat", "a dog"], latents=noise, **TWO)
    alone = look(pipeline(), "a dog", latents=noise, **TWO)
    torch.testing.assert_close(found[1].latents, alone.latents, atol=1e-5, rtol=0)


def test_each_is_verified_by_itself():
    found = look(pipeline(), ["a cat", "a turtle"], verify=True, num_inference_steps=1)
    alone = look(pipeline(), "a turtle", verify=True, num_inference_steps=1)
    np.testing.assert_allclose(
        found[1].verification["pixel_distance"], alone.verification["pixel_distance"], atol=1e-3
    )


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        (["a", "b", "c"], {"seed": [0, 1]}, "there are 3 prompts and 2 seeds"),
        ([], {}, "there are 0 prompts and 1 seeds"),
        ("a cat", {"seed": []}, "there are 1 prompts and 0 seeds"),
        ("a cat", {"seed": [0, 1], "latents": 0}, "latents are initial noise, which has no seed"),
        ("a cat", {"seed": [0, "1"]}, "seed is '1' and must be a whole number"),
        ("a cat", {"seed": [torch.Generator()]}, "Give a seed in place of a generator"),
        ("a cat", {"generator": torch.Generator()}, "no argument 'generator'. Did you mean 'seed'"),
    ],
)
def test_what_cannot_be_paired_is_refused_before_a_model_is_opened(prompt, options, words):
    with pytest.raises(ArgumentError, match=f"^look: .*{words}"):
        unchecked(look, None, prompt, **options)


def test_prompts_and_negative_prompts_that_are_no_texts_are_refused():
    with pytest.raises(PromptError, match=r"look: the prompt is 3 and must be a text"):
        unchecked(look, None, ["a cat", 3])
    with pytest.raises(PromptError, match=r"look: the negative prompt is \['a'\] and must be a"):
        unchecked(look, None, ["a cat"], negative_prompt=["a"])


def test_looks_are_a_sequence(several):
    assert several[-1] is several.looks[2]
    assert isinstance(several[1:], Looks)
    assert list(several[1:]) == list(several.looks[1:])
    assert several.images[1] is several[1].image
    first = "'a cat', seed 3; 'a big turtle on grass', seed 3; 'a cat', seed 4"
    assert repr(several) == f"Looks(3: {first})"


def test_a_notebook_shows_one_row_of_images(several):
    shown = several._repr_html_()
    assert shown.count("<img") == 3
    assert "&#x27;a cat&#x27;, seed 4" in shown


def test_they_are_saved_as_one_folder_each(tmp_path):
    pair = Looks((seen(), seen()))
    pair.save(tmp_path / "out")
    names = ["a-cat-and-a-turtle-on-grass-seed0", "a-cat-and-a-turtle-on-grass-seed0-2"]
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == names
    for name in names:
        assert (tmp_path / "out" / name / "page.html").exists()
        stored = json.loads((tmp_path / "out" / name / "trace.zarr" / "zarr.json").read_bytes())
        assert stored["attributes"]["format"] == "regard-trace"
    with pytest.raises(OutputError, match="holds a set of looks"):
        pair.save(tmp_path / "out")
    pair[:1].save(tmp_path / "out", overwrite=True)
    assert [each.name for each in (tmp_path / "out").iterdir()] == names[:1]


@pytest.mark.parametrize("strange", ["notes.txt", "empty/", "own/notes.txt"])
def test_what_is_no_set_of_looks_is_not_replaced(strange, tmp_path):
    place = tmp_path / "out" / strange
    place.parent.mkdir(parents=True)
    place.mkdir() if strange.endswith("/") else place.touch()
    with pytest.raises(OutputError, match="which no set of looks wrote"):
        Looks((seen(),)).save(tmp_path / "out", overwrite=True)
    assert place.exists()


def test_nothing_is_left_where_one_cannot_be_written(tmp_path, monkeypatch):
    written = []

    def fail(look, folder, **_):
        written.append(folder)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        folder.mkdir()

    monkeypatch.setattr(Look, "save", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        Looks((seen(), seen())).save(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
