import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from looks import PROMPT, generated, pipeline, tokenized
from looks import told as told_of
from regard.cli import app
from regard.errors import ArgumentError, DataError, NothingObserved, UnknownName
from regard.generation import Request
from regard.models import TextToImage
from regard.steering import learn_word_weights, steer
from regard.steering.denoising import (
    DenoisingTask,
    Training,
    gates_of,
    noise_of,
    repeated,
    task_of,
    trained,
)
from regard.steering.learn import weights_table
from regard.steering.weights import WordWeights
from tiny import tiny_pipeline

SETTINGS = Request(PROMPT, num_inference_steps=1, guidance_scale=1.0)
NAMES = ["cat", "turtle", "[end]"]
QUICK = {"seeds": 2, "iterations": 3, "batch": 2, "held_out": 4}


def picture(seed=0):
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 256, (16, 16, 3), dtype=np.uint8))


def task(groups=1, model=None, names=NAMES):
    model = model or pipeline()
    gates = gates_of(tokenized(model, PROMPT), names)
    return task_of(TextToImage.of(model), SETTINGS, picture(), gates, groups)


def targets_of(asked, count=4, seed=0):
    return noise_of(asked, count, torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- the loss


def test_words_pads_and_the_end_have_gates_and_the_start_has_none():
    """start, a, cat, and, a, six letters of turtle, on, grass, end, two pads."""
    gates = gates_of(tokenized(pipeline(), PROMPT), NAMES)
    assert gates.tolist() == [0, 0, 1, 0, 0, 2, 2, 2, 2, 2, 2, 0, 0, 3, 3, 3]


def test_weights_of_one_are_the_bare_model():
    asked = task()
    with torch.no_grad():
        bare = asked.loss(None, *targets_of(asked))
        ones = asked.loss(torch.zeros(1, 3), *targets_of(asked))
    torch.testing.assert_close(ones, bare, rtol=0, atol=1e-6)
    assert torch.equal(
        trained(asked, 3, Training(0, 0, 0.1, 2, 0.0, 0.0), print), torch.zeros(1, 3)
    )


def test_the_loss_is_that_of_the_denoiser_under_the_weights():
    """By the method that draws with them, on the latents noised by the scheduler itself."""
    from regard.methods import scale
    from regard.tap import Tap

    asked, model = task(), pipeline()
    times, noise = targets_of(asked)
    weights = {"cat": 3.0, "turtle": 0.5, "[end]": 0.25, "[pad]": 0.25}
    logs = torch.tensor([[3.0, 0.5, 0.25]]).log()
    run = told_of(model, SETTINGS)
    edits = scale(weights, renormalise=True).plan(run).edits
    noisy = model.scheduler.add_noise(asked.target.expand_as(noise), noise, times)
    text = model.encode_prompt(PROMPT, "cpu", 1, False)[0].expand(4, -1, -1)
    with torch.no_grad(), Tap(model.unet, edit=edits, conditions=("cond",)):
        told = model.unet(noisy, times, text)[0]
    with torch.no_grad():
        loss = asked.loss(logs, times, noise)
    torch.testing.assert_close(loss, (told - noise).square().mean((1, 2, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("predicts", ["v_prediction", "sample"])
def test_other_predictions_have_targets_of_their_own(predicts):
    model = tiny_pipeline()
    model.scheduler.register_to_config(prediction_type=predicts)
    asked = task(model=model)
    times, noise = targets_of(asked)
    target = asked.target.expand_as(noise)
    level = model.scheduler.alphas_cumprod[times][:, None, None, None]
    noisy = model.scheduler.add_noise(target, noise, times)
    wanted = model.scheduler.get_velocity(target, noise, times)
    wanted = wanted if predicts == "v_prediction" else target
    with torch.no_grad():
        text = model.encode_prompt(PROMPT, "cpu", 1, False)[0].expand(4, -1, -1)
        told = model.unet(noisy, times, text)[0]
        loss = asked.loss(None, times, noise)
    torch.testing.assert_close(loss, (told - wanted).square().mean((1, 2, 3)), rtol=0, atol=1e-5)
    assert level.shape == (4, 1, 1, 1)


def test_the_gradient_is_that_of_finite_differences():
    asked = task(groups=2, model=tiny_pipeline())
    asked.network.double()
    asked.inputs.update({name: doubled(each) for name, each in asked.inputs.items()})
    times, noise = targets_of(asked)
    logs = torch.tensor([[0.3, -0.4, 0.2], [-0.1, 0.5, 0.0]], dtype=torch.float64)
    point = logs.clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(asked.loss(point, times, noise.double()).mean(), [point])
    assert slope.abs().min() > 0
    for group in range(2):
        for place in range(3):
            ahead, behind = logs.clone(), logs.clone()
            ahead[group, place] += 1e-3
            behind[group, place] -= 1e-3
            with torch.no_grad():
                losses = [
                    asked.loss(each, times, noise.double()).mean() for each in (ahead, behind)
                ]
            numeric = float(losses[0] - losses[1]) / 2e-3
            assert float(slope[group, place]) == pytest.approx(numeric, rel=1e-3)


def doubled(value):
    return value.double() if torch.is_tensor(value) and value.is_floating_point() else value


def test_parts_of_the_generation_begin_with_the_most_noise():
    asked = task(groups=2)
    logs = torch.tensor([[1.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    bias = asked.bias(logs, torch.tensor([999, 500, 499, 0]))
    assert bias[:, 2].tolist() == [1.0, 1.0, 5.0, 5.0]
    assert bias[:, 0].abs().max() == 0


# ---------------------------------------------------------------- learning


def test_the_loss_falls_on_a_target_that_known_weights_predict():
    """A network's own prediction under known weights: the weights that fit best are these."""
    asked, known = task(), torch.tensor([[1.0, -1.0, 0.5]])

    class Told(DenoisingTask):
        def loss(self, logs, times, noise):
            with torch.no_grad():
                wanted = predicted(asked, known, times, noise)
            found = predicted(asked, logs, times, noise)
            return (found - wanted).square().mean((1, 2, 3)) * 1e4

    told = Told(**vars(asked))
    course = Training(0, 20, 0.2, 2, 0.0, 0.0)
    found = trained(told, 3, course, lambda step: None)
    assert torch.equal(found.sign(), known.sign())
    bare, learned = (
        told.loss(logs, *targets_of(asked, 8, 9)).mean() for logs in (torch.zeros(1, 3), found)
    )
    assert learned < 0.5 * bare


def predicted(asked, logs, times, noise):
    """What the network says under weights."""
    level = asked.levels[times][:, None, None, None]
    noisy = level.sqrt() * asked.target + (1 - level).sqrt() * noise
    given = {name: repeated(value, len(times)) for name, value in asked.inputs.items()}
    given |= {"sample": noisy, "timestep": times}
    return asked._weighted(given, asked.bias(logs, times))


@pytest.fixture(scope="module")
def learned():
    return learn_word_weights(pipeline(), PROMPT, picture(), **QUICK)


def test_a_row_for_each_word_with_an_interval(learned):
    assert list(learned.table) == ["word", "part", "weight", "low", "high"]
    words = ["a", "cat", "and", "a#2", "turtle", "on", "grass", "[end]"]
    assert list(learned.table["word"]) == words
    assert learned.table[["low", "high"]].isna().all(axis=None)  # of two trainings
    assert (learned.table["weight"] != 1).all()
    assert list(learned.losses["weights"]) == ["none", "learned", "shuffled"]
    assert learned.losses["change"][0] == 0
    assert "held-out loss" in repr(learned)


def test_weights_by_hand():
    logs = np.log([[[2.0]], [[8.0]]] * 5)
    (row,) = weights_table(["cat"], logs).itertuples(index=False)
    assert (row.word, row.part) == ("cat", 0)
    # Half of ten trainings say 2 and half 8: Wilson's ends, 0.2366 and 0.7634 of the way in logs.
    ends = [2 * 4**share for share in (0.236593, 0.763407)]
    assert [row.weight, row.low, row.high] == pytest.approx([4.0, *ends], rel=1e-5)
    alone = weights_table(["cat"], logs[:4])
    assert alone["low"].isna().all()


def test_the_weights_draw(learned):
    (method,) = learned.methods()
    weights = method.settings["weights"]
    assert method.name == "scale"
    assert method.settings["renormalise"] is True
    assert weights["[pad]"] == weights["[end]"]
    assert list(weights)[:2] == ["a", "cat"]
    steered = steer(pipeline(), PROMPT, learned.methods(2), num_inference_steps=2)
    assert not torch.equal(steered.before.latents, steered.after.latents)


def test_weights_of_one_draw_the_bare_picture():
    table = weights_table(["cat", "[end]"], np.zeros((2, 1, 2)))
    ones = WordWeights(PROMPT, table, pd.DataFrame(), picture(), {}, "[pad]")
    settings = Request(PROMPT, num_inference_steps=2)
    both = [
        generated(pipeline(), settings, [{"methods": tuple(methods)}])[0].latents
        for methods in ([], ones.methods(2))
    ]
    assert torch.equal(*both)


def test_parts_are_spread_over_the_steps():
    found = learn_word_weights(pipeline(), PROMPT, picture(), words=["cat"], groups=3, **QUICK)
    assert list(found.table["word"]) == ["cat", "[end]"] * 3
    steps = [method.settings["where"]["steps"] for method in found.methods(7)]
    assert steps == [[0, 2], [2, 5], [5, 7]]
    assert "shuffled" not in set(found.losses["weights"])  # there is no other word to deal it to
    with pytest.raises(ArgumentError, match="there are 2 steps for 3 parts. Take at least 3"):
        found.methods(2)


def test_a_seed_gives_the_same_weights_and_the_model_is_as_before(learned):
    before = {name: value.clone() for name, value in pipeline().unet.state_dict().items()}
    told = []
    again = learn_word_weights(
        pipeline(), PROMPT, picture(), **QUICK, progress=lambda *at: told.append(at)
    )
    pd.testing.assert_frame_equal(again.table, learned.table)
    assert told == [(done, 6) for done in range(1, 7)]
    assert all(
        torch.equal(value, before[name]) for name, value in pipeline().unet.state_dict().items()
    )
    assert all(each.grad is None for each in pipeline().unet.parameters())


# ---------------------------------------------------------------- what cannot be


def test_mistakes_are_told(tmp_path):
    def learn(target=None, model=None, prompt=PROMPT, **options):
        return learn_word_weights(model or pipeline(), prompt, target or picture(), **options)

    with pytest.raises(ArgumentError, match="the target is 20 x 10 pixels and must be 16 x 16, as"):
        learn(Image.new("RGB", (20, 10)))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="broken.png could not be read"):
        learn(tmp_path / "broken.png")
    with pytest.raises(UnknownName, match="no word is named 'dog'.*turtle"):
        learn(words=["dog"])
    with pytest.raises(ArgumentError, match="words is the text 'cat'"):
        learn(words="cat")
    for name in ("seeds", "iterations", "batch", "groups", "held_out"):
        with pytest.raises(ArgumentError, match=f"{name} is 0 and must be 1 or more"):
            learn(**{name: 0})
    with pytest.raises(ArgumentError, match="rate is nan and must be above 0"):
        learn(rate=math.nan)
    with pytest.raises(ArgumentError, match="decay is -1.0 and must be 0 or more"):
        learn(decay=-1.0)


def test_models_without_what_it_needs_are_told():
    from diffusers import FlowMatchEulerDiscreteScheduler, UNet2DConditionModel

    def without(down, up):
        model = tiny_pipeline()
        model.unet = UNet2DConditionModel(
            sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
            down_block_types=(down, "DownBlock2D"), up_block_types=("UpBlock2D", up),
            mid_block_type=None, cross_attention_dim=16, attention_head_dim=8,
        )  # fmt: skip
        return model

    with pytest.raises(ArgumentError, match="has no layer in which the image attends to text"):
        learn_word_weights(without("AttnDownBlock2D", "AttnUpBlock2D"), PROMPT, picture(), **QUICK)
    with pytest.raises(NothingObserved, match="has no softmax attention"):
        learn_word_weights(without("DownBlock2D", "UpBlock2D"), PROMPT, picture(), **QUICK)
    model = tiny_pipeline()
    model.scheduler = FlowMatchEulerDiscreteScheduler()
    with pytest.raises(ArgumentError, match="FlowMatchEulerDiscreteScheduler .* does not say how"):
        learn_word_weights(model, PROMPT, picture(), **QUICK)


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipeline().save_pretrained(folder)
    return str(folder)


def run(*words):
    return CliRunner().invoke(app, ["learn-weights", *map(str, words)])


def test_a_folder_has_table_recipe_and_pictures(model, tmp_path):
    picture().save(tmp_path / "target.png")
    out = tmp_path / "out"
    asked = [PROMPT, "--target", tmp_path / "target.png", "--model", model, "--out", out]
    asked += ["--seeds", 1, "--iterations", 1, "--num-inference-steps", 2, "--words", "cat, turtle"]
    done = run(*asked)
    assert done.exit_code == 0, done.output
    assert {each.name for each in out.iterdir()} == {
        "weights.csv", "losses.csv", "recipe.json", "target.png", "before.png", "after.png",
        "images.png",
    }  # fmt: skip
    assert list(pd.read_csv(out / "weights.csv")["word"]) == ["cat", "turtle", "[end]"]
    assert "held" not in done.output
    assert "learned" in done.output
    recipe = json.loads((out / "recipe.json").read_text())
    assert recipe["learned"]["words"] == ["cat", "turtle", "[end]"]
    words = ["steer", "--recipe", str(out / "recipe.json"), "--model", model]
    again = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "again")])
    assert again.exit_code == 0, again.output
    drawn = Image.open(tmp_path / "again" / "after" / "image.png").convert("RGB")
    assert np.array_equal(np.asarray(drawn), np.asarray(Image.open(out / "after.png")))
    assert "holds a set of word weights" in run(*asked).stderr
    assert run(*asked, "--overwrite").exit_code == 0


def test_a_mistake_is_one_line_and_writes_nothing(model, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    for target, message in [
        (tmp_path / "small.png", "is 8 x 8 pixels and must be 16 x 16"),
        (tmp_path / "none.png", "none.png could not be read"),
    ]:
        done = run(PROMPT, "--target", target, "--model", model, "--out", tmp_path / "out")
        assert done.exit_code == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_weights_without_pictures_are_saved_too(learned, tmp_path):
    learned.save(tmp_path / "out")
    names = {each.name for each in (tmp_path / "out").iterdir()}
    assert names == {"weights.csv", "losses.csv", "recipe.json", "target.png"}
