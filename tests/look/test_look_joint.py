"""Looking with joint attention: Stable Diffusion 3, 3.5 and FLUX.1."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import joint
from looks import PROMPT, tokenized
from regard.cli import app
from regard.errors import ArgumentError, PromptError, UnknownName
from regard.look import look
from regard.models import TextToImage
from regard.tap import HeatMap, Parity, Tap
from regard.trace import Trace

CLIP, T5, FLUX_T5 = 16, 256, 512
FIRST = "transformer_blocks.0.attn"


@functools.cache
def sd3():
    return joint.tiny_sd3_pipeline(**joint.SD35)


@functools.cache
def flux():
    return joint.tiny_flux_pipeline()


@functools.cache
def seen(which):
    return look(which(), PROMPT, num_inference_steps=2)


BOTH = pytest.mark.parametrize("which", [sd3, flux])


def bare(model, prompt=PROMPT, **options):
    generator = torch.Generator().manual_seed(0)
    options = {"num_inference_steps": 2, **options}
    return model(prompt, generator=generator, output_type="latent", **options).images


def notes(model, *whats, **options):
    """What every attention call of a generation has under some names."""
    noted = []
    note = lambda call: noted.append(tuple(getattr(call, what) for what in whats))  # noqa: E731
    with Tap(model, observe=[note]):
        bare(model, **options)
    return list(dict.fromkeys(noted))


@BOTH
def test_the_picture_is_the_one_of_the_bare_pipeline(which):
    assert torch.equal(seen(which).latents, bare(which()))


def test_the_clock_of_stable_diffusion_3_has_both_halves_in_one_batch():
    told = notes(sd3(), "run", "step", "pass_", "timestep", "conditions")
    halves = ("uncond", "cond")
    assert told == [(0, 0, 0, 1000.0, halves), (0, 1, 0, 1.0, halves)]
    unguided = notes(sd3(), "conditions", guidance_scale=1.0)
    assert unguided == [(("cond",),)]


def test_skip_layer_guidance_is_no_half_of_the_guidance():
    options = {"skip_guidance_layers": [1], "skip_layer_guidance_stop": 1.0}
    told = notes(sd3(), "step", "pass_", "conditions", prompt=[PROMPT] * 2, **options)
    extra = [each for each in told if each[1] == 1]
    assert {conditions for _, _, conditions in extra} == {("perturbed",) * 2}


def test_the_clock_of_flux_has_one_half_and_times_from_one_down():
    told = notes(flux(), "run", "step", "pass_", "timestep", "conditions")
    assert told == [(0, 0, 0, 1.0, ("cond",)), (0, 1, 0, 0.5, ("cond",))]


def test_the_clock_of_flux_with_a_negative_prompt_has_two_passes_a_step():
    told = notes(flux(), "step", "pass_", "conditions", negative_prompt="a dog", true_cfg_scale=2.0)
    cond, uncond = ("cond",), ("uncond",)
    assert told == [(0, 0, cond), (0, 1, uncond), (1, 0, cond), (1, 1, uncond)]


@pytest.mark.parametrize(("which", "times"), [(sd3, [1000.0, 1.0]), (flux, [1000.0, 500.0])])
def test_a_trace_has_the_times_of_the_scheduler(which, times):
    maps = seen(which).trace.word_maps[FIRST]
    assert maps["timestep"].values.tolist() == times
    assert (maps.attrs["kind"], maps.attrs["stage"]) == ("joint", None)


def test_stable_diffusion_3_reads_a_word_in_both_parts_of_the_text():
    trace = seen(sd3).trace
    assert trace.tokens_of("cat") == [2, CLIP + 1]
    assert [trace.tokens[index].encoder for index in trace.tokens_of("cat")] == ["clip", "t5"]
    assert trace.tokens_of("grass") == [12, CLIP + 12]
    assert trace.tokens_of("[start]") == [0]
    assert trace.tokens_of("[end]") == [13, CLIP + 13]
    assert len(trace.tokens) == CLIP + T5
    assert [token.index for token in trace.tokens] == list(range(CLIP + T5))


def test_flux_reads_words_by_t5_alone():
    trace = seen(flux).trace
    assert trace.tokens_of("cat") == [1]
    assert len(trace.tokens) == FLUX_T5
    assert {token.encoder for token in trace.tokens} == {""}
    assert trace.word_names == seen(sd3).trace.word_names


@pytest.mark.parametrize(("which", "start"), [(sd3, 16), (flux, 0)])
def test_a_heat_map_is_what_patches_give_the_word_of_all_their_attention(which, start):
    """The columns of the dense map: the image is first or last, the word has one token or two."""
    maps = []

    def note(call):
        if call.layer == FIRST and call.step == 1:
            image = slice(0, 16) if start else slice(FLUX_T5, None)
            maps.append(call.probs()[-1, :, image].mean(0))

    with Tap(which(), observe=[note]):
        bare(which())
    trace = seen(which).trace
    for name in ("cat", "turtle", "[end]", "[pad]"):
        tokens = [token.index for token in trace.tokens if token.name == name]
        expected = maps[0][:, [start + token for token in tokens]].sum(-1).reshape(4, 4)
        ours = trace.heatmap(name, layers=[FIRST], steps=1)
        np.testing.assert_allclose(ours.values, expected.numpy(), atol=1e-5)


@BOTH
def test_masses_add_up_to_what_the_image_leaves_to_the_text(which):
    left = []

    def note(call):
        if call.layout.has(query="image", key="text"):
            rows = call.layout.queries_of("image").slice
            left.append(call.mass("text", batch=call.rows_of("cond"))[..., rows].mean())

    with Tap(which(), observe=[note]):
        bare(which())
    total = float(torch.stack(left).mean())
    assert 0.5 < total < 1.0
    assert seen(which).trace.words()["mass"].sum() == pytest.approx(total, abs=1e-5)


def test_parity_is_taken_in_joint_layers():
    parity = Parity()
    with Tap(flux(), observe=[parity]):
        bare(flux())
    assert seen(flux).trace.recipe["parity_error"] == parity.result() < 1e-4


def test_only_the_words_that_were_named_are_kept():
    trace = look(sd3(), PROMPT, num_inference_steps=2, words=["turtle"]).trace
    np.testing.assert_allclose(
        trace.heatmap("turtle"), seen(sd3).trace.heatmap("turtle"), atol=1e-6
    )
    assert trace.words()["word"].tolist() == ["turtle"]
    with pytest.raises(UnknownName, match="no word is named 'dog'"):
        look(flux(), PROMPT, num_inference_steps=1, words=["dog"])


@BOTH
def test_layers_have_no_place(which):
    with pytest.raises(UnknownName, match="no layer is named 'up'"):
        seen(which).trace.heatmap("cat", layers="up")
    first = seen(which).trace.heatmap("cat", layers="transformer_blocks.0.attn")
    assert first.attrs["layers"] == [FIRST]


def test_the_second_attention_of_a_block_is_to_the_image_alone():
    kinds = dict(notes(sd3(), "layer", "kind"))
    assert kinds == {
        "transformer_blocks.0.attn": "joint",
        "transformer_blocks.0.attn2": "self",
        "transformer_blocks.1.attn": "joint",
    }
    assert set(seen(sd3).trace.layers) == {name for name, kind in kinds.items() if kind == "joint"}


@BOTH
def test_a_saved_look_can_be_opened(which, tmp_path):
    seen(which).save(tmp_path / "out")
    trace = Trace.load(tmp_path / "out" / "trace.zarr")
    assert trace.tokens == seen(which).trace.tokens
    assert (tmp_path / "out" / "page.html").is_file()


@pytest.mark.parametrize(("which", "options"), [(sd3, {}), (flux, {"height": 16, "width": 16})])
def test_a_model_may_be_a_folder(which, options, tmp_path):
    which().save_pretrained(tmp_path / "model")
    assert torch.equal(
        look(tmp_path / "model", PROMPT, num_inference_steps=2, **options).latents, bare(which())
    )


def test_a_folder_without_t5_draws_with_clip_alone(tmp_path):
    joint.tiny_sd3_pipeline(t5=False).save_pretrained(tmp_path / "model")
    trace = look(tmp_path / "model", PROMPT, num_inference_steps=1).trace
    assert trace.tokens_of("cat") == [2]
    assert len(trace.tokens) == CLIP + T5
    silent = [token for token in trace.tokens if token.encoder == "t5"]
    assert {(token.role, token.text) for token in silent} == {("pad", "")}
    assert trace.recipe["padding"] == "258 tokens, their maps summed as token 14"


@BOTH
def test_a_picture_need_not_be_square(which):
    trace = look(which(), "a cat", num_inference_steps=1, height=16, width=12).trace
    assert trace.image.shape == (16, 12, 3)
    assert trace.heatmap("cat").shape == (4, 3)


@BOTH
def test_a_size_that_patches_do_not_divide_is_refused(which):
    with pytest.raises(ArgumentError, match="must be multiples of 4 pixels. The nearest is 16 x 8"):
        look(which(), "a cat", height=14, width=8)


def test_guidance_of_flux_is_a_number_to_draw_by_or_two_halves():
    def drawn(guidance, away=""):
        return look(
            flux(), PROMPT, num_inference_steps=2, guidance_scale=guidance, negative_prompt=away
        ).latents

    assert torch.equal(drawn(2.0), bare(flux(), guidance_scale=2.0))
    options = {"guidance_scale": 3.5, "true_cfg_scale": 2.0, "negative_prompt": "a dog"}
    assert torch.equal(drawn(2.0, "a dog"), bare(flux(), **options))
    assert torch.equal(drawn(1.0, "a dog"), bare(flux(), guidance_scale=1.0))


def test_only_the_half_that_reads_the_prompt_is_looked_at():
    heat = HeatMap([1])
    options = {"true_cfg_scale": 4.0, "negative_prompt": "a dog"}
    maps = look(flux(), PROMPT, num_inference_steps=1, negative_prompt="a dog").trace.heatmap("cat")
    with Tap(flux(), observe=[heat]):
        bare(flux(), num_inference_steps=1, guidance_scale=3.5, **options)
    expected = torch.stack([each.maps.mean((0, 1, 2))[0] for each in heat.result()]).mean(0)
    np.testing.assert_allclose(maps.values, expected.numpy(), atol=1e-6)


LONG = "a cat and a dog on the road in the snow with a red clock"


def test_what_one_encoder_cuts_off_the_other_still_reads():
    prompt = tokenized(sd3(), LONG)
    assert (prompt.cut, prompt.partly_cut) == ("", "clock")
    assert [prompt.tokens[index].encoder for index in prompt.spelled(["clock"])] == ["t5"]
    with pytest.raises(PromptError, match="the 16 tokens that the text encoder clip takes"):
        TextToImage.of(sd3()).tokenize(LONG, whole=True)
    trace = look(sd3(), LONG, num_inference_steps=1).trace
    assert (trace.recipe["cut"], trace.recipe["partly_cut"]) == ("", "clock")


def test_the_command_line_tells_what_only_one_encoder_reads(tmp_path):
    sd3().save_pretrained(tmp_path / "model")
    options = [
        "--model",
        str(tmp_path / "model"),
        "--num-inference-steps",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, ["look", LONG, *options])
    assert done.exit_code == 0, done.stderr
    assert "and only the other read on from: 'clock'." in done.stderr


def test_what_no_encoder_reads_is_cut():
    prompt = tokenized(joint.tiny_sd3_pipeline(t5=False), LONG)
    assert (prompt.cut, prompt.partly_cut) == ("clock", "clock")
    with pytest.raises(UnknownName, match="The text encoder cut this off: 'clock'"):
        prompt.spelled(["clock"])
    assert tokenized(flux(), LONG).cut == ""
    assert tokenized(flux(), "cat " * 520).cut == "cat " * 9


def test_a_pipeline_without_the_tokenizer_that_counts_is_refused():
    model = joint.tiny_flux_pipeline()
    model.tokenizer_2 = None
    with pytest.raises(ArgumentError, match="look: the tokenizer_2 of FluxPipeline is NoneType"):
        look(model, PROMPT)


def test_a_transformer_of_no_known_family_is_refused():
    class Other(torch.nn.Module):
        pass

    class Pipeline:
        transformer, scheduler = Other(), SimpleNamespace()

        def __call__(self, prompt, callback_on_step_end): ...

    with pytest.raises(ArgumentError, match="denoiser of Pipeline is a Other, whose image and"):
        TextToImage.of(Pipeline())
