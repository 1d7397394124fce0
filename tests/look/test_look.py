import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from looks import PROMPT, pipeline, seen
from regard.look import Look, look
from regard.look.output import file_names
from regard.tap import HeatMap, Tap
from regard.trace import Trace


def bare(prompt=PROMPT, **options):
    """What the pipeline makes by itself, latents or image."""
    settings = {"num_inference_steps": 2, **options}
    return pipeline()(prompt, generator=torch.Generator().manual_seed(0), **settings).images


def test_looking_does_not_change_a_bit_of_the_latents():
    assert torch.equal(seen().latents, bare(output_type="latent"))


def test_the_image_is_the_one_that_the_pipeline_makes():
    np.testing.assert_array_equal(np.asarray(seen().image), np.asarray(bare()[0]))
    np.testing.assert_array_equal(seen().trace.image, np.asarray(bare()[0]))


def test_nothing_is_random_but_the_seed():
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    again = look(pipeline(), PROMPT, num_inference_steps=2)
    assert torch.equal(again.latents, seen().latents)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.equal(
        look(pipeline(), PROMPT, num_inference_steps=2, seed=1).latents, again.latents
    )


def test_words_of_several_tokens_and_words_that_come_twice_have_names():
    trace = seen().trace
    assert trace.word_names == ("a", "cat", "and", "a#2", "turtle", "on", "grass")
    assert trace.tokens_of("turtle") == [5, 6, 7, 8, 9, 10]
    assert trace.tokens_of("a#2") == [4]
    assert [trace.tokens_of(name) for name in ("[start]", "[end]", "[pad]")] == [[0], [13], [14]]


def test_masses_add_up_to_one():
    assert seen().trace.words()["mass"].sum() == pytest.approx(1.0, abs=1e-6)


def test_the_column_of_the_padding_is_the_sum_of_all_padding_tokens():
    heat = HeatMap(range(16))
    with Tap(pipeline(), observe=[heat]):
        bare(output_type="latent")
    for layer in heat.result():
        pads = layer.maps[0, :, :, 14:].sum(2)
        ours = seen().trace.word_maps[layer.layer].sel(token=14)
        np.testing.assert_allclose(ours.values, pads.numpy(), atol=1e-6)
    assert seen().trace.recipe["padding"] == "2 tokens, their maps summed as token 14"


def test_only_the_maps_of_the_words_that_were_named_are_kept():
    trace = look(pipeline(), PROMPT, num_inference_steps=2, words=["turtle", "A"]).trace
    assert trace.word_names == ("a", "turtle")
    np.testing.assert_allclose(trace.heatmap("turtle"), seen().trace.heatmap("turtle"), atol=1e-6)
    assert trace.words()["word"].tolist() == ["a", "turtle"]
    assert trace.recipe["padding"] == ""


@pytest.mark.parametrize("keep", [(), ("layer",), ("step", "head")])
def test_axes_that_are_not_kept_have_size_one(keep):
    trace = look(pipeline(), PROMPT, num_inference_steps=2, keep=keep).trace
    first = next(iter(trace.word_maps.values()))
    assert first.attrs["averaged"] == sorted({"step", "layer", "head"} - set(keep))
    assert first.sizes["step"] == (2 if "step" in keep else 1)
    assert first.sizes["head"] == (2 if "head" in keep else 1)
    assert (len(trace.layers) > 1) == ("layer" in keep)


def test_averaging_while_running_is_averaging_afterwards():
    trace = look(pipeline(), PROMPT, num_inference_steps=2, keep=("layer",)).trace
    np.testing.assert_allclose(trace.heatmap("cat"), seen().trace.heatmap("cat"), atol=1e-6)


def test_the_recipe_says_what_made_the_image():
    recipe = seen().trace.recipe
    assert json.loads(json.dumps(recipe)) == recipe
    assert recipe["prompt"] == PROMPT
    steps, guidance = recipe["num_inference_steps"], recipe["guidance_scale"]
    assert (recipe["seed"], steps, guidance) == (0, 2, 7.5)
    assert recipe["scheduler"] == "DDIMScheduler"
    assert recipe["scheduler_config"]["beta_schedule"] == "scaled_linear"
    assert (recipe["size"], recipe["dtype"], recipe["cut"]) == ([16, 16], "float32", "")
    assert set(recipe["versions"]) == {"regard", "torch", "diffusers", "transformers"}
    assert recipe["versions"]["torch"] == torch.__version__
    assert len(recipe["weights_sha256"]) == 64
    assert recipe["parity_error"] < 1e-5
    assert set(recipe["layouts"]) == set(seen().trace.layers)
    assert "cross: 8x8 image to 16 text, 2 heads" in recipe["layouts"].values()


def test_progress_is_told_after_each_step():
    told = []
    look(
        pipeline(),
        PROMPT,
        num_inference_steps=3,
        progress=lambda done, steps: told.append((done, steps)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_size_has_rows_and_columns():
    trace = look(pipeline(), "a cat", num_inference_steps=1, height=24, width=16).trace
    assert trace.image.shape == (24, 16, 3)
    assert trace.heatmap("cat").shape == (12, 8)
    assert trace.recipe["size"] == [24, 16]


def test_guidance_can_be_off_and_a_negative_prompt_counts():
    unguided = look(pipeline(), "a cat", num_inference_steps=1, guidance_scale=1.0)
    expected = bare("a cat", num_inference_steps=1, guidance_scale=1.0, output_type="latent")
    assert torch.equal(unguided.latents, expected)
    away = look(pipeline(), "a cat", num_inference_steps=1, negative_prompt="a dog")
    options = {"num_inference_steps": 1, "negative_prompt": "a dog", "output_type": "latent"}
    assert torch.equal(away.latents, bare("a cat", **options))


def test_what_the_text_encoder_does_not_take_is_named():
    long = look(
        pipeline(),
        "a cat and a dog on the road in the snow with a red clock",
        num_inference_steps=1,
    )
    # start, 14 words, end: the fifteenth word is the first that does not fit.
    assert long.cut == "clock"
    assert long.trace.recipe["cut"] == "clock"
    assert long.trace.word_names[-1] == "red"
    assert "clock" not in long.trace.word_names


def test_a_model_may_be_a_folder(tmp_path):
    pipeline().save_pretrained(tmp_path / "model")
    assert torch.equal(
        look(tmp_path / "model", PROMPT, num_inference_steps=2).latents, seen().latents
    )


def test_a_look_shows_what_it_holds():
    assert repr(seen()) == f"Look(16x16 pixels; {seen().trace!r}; not verified)"


def test_a_saved_look_is_a_folder_with_all_its_parts(tmp_path):
    seen().save(tmp_path / "new" / "out")
    out = tmp_path / "new" / "out"
    names = {"image.png", "words.csv", "heatmaps", "trace.zarr", "page.html"}
    assert {each.name for each in out.iterdir()} == names
    assert {each.stem for each in (out / "heatmaps").iterdir()} == set(seen().trace.word_names)
    np.testing.assert_array_equal(np.asarray(Image.open(out / "image.png")), seen().trace.image)
    assert (out / "words.csv").read_text().splitlines()[0].startswith("word,role,mass,entropy")
    assert "</html>" in (out / "page.html").read_text(encoding="utf-8")
    assert Trace.load(out / "trace.zarr").word_names == seen().trace.word_names
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["out"]


def test_file_names_differ_where_only_capitals_or_signs_do():
    names = file_names(["é" * 300, "CON:", "con_", "a/b"])
    assert names["CON:"] == "CON_"
    assert names["con_"] == "con_-2"
    assert names["a/b"] == "a_b"
    assert len(names["é" * 300].encode()) < 250


def test_the_package_is_light_and_its_verb_stays_a_function():
    check = (
        "import sys, regard; assert not {'torch', 'numpy', 'pandas'} & set(sys.modules); "
        "import regard.look; assert callable(regard.look), regard.look; "
        "from regard.look import Look; assert regard.Look is Look; "
        "assert 'torch' not in sys.modules; "
        "print(*(name for name in regard.__all__ if not hasattr(regard, name)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_model_is_as_before_even_when_a_look_is_stopped():
    before = tiny.generate(pipeline())

    def stop(done, steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(pipeline(), PROMPT, num_inference_steps=2, progress=stop)
    assert torch.equal(tiny.generate(pipeline()), before)
    assert isinstance(seen(), Look)


# ---------------------------------------------------------------- how words are read


def test_a_model_that_nobody_measured_is_read_at_own_tokens():
    assert seen().trace.reading == {"carriers": False, "layers": None}
    told = seen().trace.recipe["reading"]["why"]
    assert told == "not measured for this model: own tokens"


@pytest.mark.parametrize(
    ("options", "carriers", "layers", "why"),
    [
        ({}, True, ["up_blocks.2"], "measured for openmoji"),
        ({"carriers": False}, False, ["up_blocks.2"], "as asked for"),
        ({"words": ["cat"]}, False, ["up_blocks.2"], "own tokens: of the next no maps were kept"),
        ({"keep": ["step"]}, True, None, "measured for openmoji"),
    ],
)
def test_a_bundled_model_is_read_as_was_measured(options, carriers, layers, why, tmp_path):
    found = look("openmoji", "a cat and a dog", num_inference_steps=1, **options)
    assert found.trace.recipe["reading"] == {"carriers": carriers, "layers": layers, "why": why}
    found.save(tmp_path / "look")
    heat = found.trace.heatmap("cat", **found.trace.reading)
    assert heat.attrs.get("tokens", [2]) == ([2, 3] if carriers else [2])
    if layers:
        assert [name.split(".")[:2] for name in heat.attrs["layers"]] == [["up_blocks", "2"]] * 2
