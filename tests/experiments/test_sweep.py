import json
from contextlib import ExitStack

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import regard
from looks import PROMPT, pipeline
from regard.errors import ArgumentError, NothingObserved, OutputError, PromptError, UnknownName
from regard.experiments.ablations import layers_of
from regard.experiments.sweep import _lacking, sweep
from regard.experiments.sweep_report import figures_of, page_of
from regard.generation import Request
from regard.look import look
from regard.methods import drop
from regard.models import TextToImage
from regard.scores.clip import clip_score
from regard.scores.perceptual import perceptual_distance
from regard.stats.means import bootstrap
from tiny import seeded, tiny_pipeline

OTHER = "a dog on grass"


@pytest.fixture(scope="module")
def heads():
    return sweep(pipeline(), [PROMPT, OTHER], "heads", seeds=1, num_inference_steps=2)


def pictures(found, prompt=PROMPT, seed=0):
    """The pictures of one prompt and seed, by the names of what is missing."""
    names = found.table.query("prompt == @prompt and seed == @seed")["ablation"]
    shown = found.cases[prompt, seed].images
    return dict(zip(["", *names], shown, strict=True))


def without(head_channels, steps=(0, 1), prompt=PROMPT, seed=0):
    """A picture drawn alone, with channels of layers emptied before their output projection.

    It sees no tap: a hook on the projection empties the half of the batch that reads the prompt.
    """
    model, now = pipeline(), [0]

    def empty(channels, module, inputs):
        (values,) = inputs
        if now[0] in steps:
            values = values.clone()
            values[len(values) // 2 :, :, channels] = 0.0
        return (values,)

    def after(_, step, timestep, tensors):
        now[0] = step + 1
        return tensors

    with ExitStack() as opened:
        for path, channels in head_channels.items():
            projection = model.unet.get_submodule(path).to_out[0]
            hook = projection.register_forward_pre_hook(
                lambda module, inputs, channels=channels: empty(channels, module, inputs)
            )
            opened.callback(hook.remove)
        image = model(
            prompt,
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=after,
        ).images[0]
    return np.asarray(image)


def same(one, other):
    assert np.abs(one.astype(int) - other).max() <= 1


def test_each_head_is_taken_away_as_by_a_run_of_its_own(heads):
    shown = pictures(heads)
    assert len(shown) == 1 + 14 * 2
    same(shown[""], without({}))
    for name in [name for name in shown if name]:
        path, head = name.split(":")
        width = pipeline().unet.get_submodule(path).to_out[0].in_features // 2
        same(shown[name], without({path: slice(int(head) * width, (int(head) + 1) * width)}))
    assert not np.array_equal(shown[""], shown[heads.summary()["ablation"].iloc[0]])


def test_each_layer_and_place_is_taken_away_as_by_a_run_of_its_own():
    layers = pictures(sweep(pipeline(), PROMPT, "layers", seeds=[3], num_inference_steps=2), seed=3)
    assert len(layers) == 1 + 14
    for path in [name for name in layers if name]:
        same(layers[path], without({path: slice(None)}, seed=3))
    found = sweep(pipeline(), PROMPT, "stages", seeds=1, num_inference_steps=2)
    assert list(found.table["ablation"]) == [
        f"{stage} {kind}" for stage in ("down", "mid", "up") for kind in ("cross", "self")
    ]
    ups = {path: slice(None) for path in layers if path.startswith("up") and path[-1] == "2"}
    assert len(ups) == 4
    same(pictures(found)["up cross"], without(ups))


def test_during_some_steps_only_these_are_changed():
    found = sweep(pipeline(), PROMPT, "layers", seeds=1, num_inference_steps=2, during=1)
    assert found.recipe["during"] == [1, 2]
    for path, shown in pictures(found).items():
        same(shown, without({path: slice(None)} if path else {}, steps=(1,)))


def test_each_word_is_hidden_as_in_a_look_of_its_own():
    found = sweep(pipeline(), PROMPT, "words", seeds=1, num_inference_steps=2)
    words = ["a", "cat", "and", "a#2", "turtle", "on", "grass"]
    assert list(found.table["word"]) == words
    for word in words:
        alone = look(pipeline(), PROMPT, num_inference_steps=2, methods=[drop(word)]).image
        same(pictures(found)[word], np.asarray(alone))


def test_the_table_tells_what_was_missing_and_how_far_that_moved_the_picture(heads):
    table = heads.table
    assert len(table) == 2 * 28
    assert list(table) == [
        "ablation", "layer", "stage", "kind", "head", "prompt", "seed", "distance",
    ]  # fmt: skip
    assert (table["ablation"] == table["layer"] + ":" + table["head"].astype(str)).all()
    ends = table["layer"].str[-1].map({"1": "self", "2": "cross"})
    assert (table["kind"] == ends).all()
    shown = pictures(heads)
    row = table.query("prompt == @PROMPT").set_index("ablation")["distance"]
    for name in row.index:
        expected = np.abs(shown[name].astype(float) - shown[""]).mean() / 255
        assert row[name] == pytest.approx(expected)
    assert any("no encoder is known" in note for note in heads.notes)


def test_the_summary_has_means_with_intervals_of_whole_prompts():
    prompts = [PROMPT, OTHER, "a cat", "a turtle", "grass"]
    found = sweep(pipeline(), prompts, "stages", seeds=2, num_inference_steps=1)
    summary = found.summary()
    assert list(summary["distance"]) == sorted(summary["distance"], reverse=True)
    # Resampling goes through the prompts in the order of the alphabet.
    rows = found.table.query("ablation == 'up cross'").sort_values(["prompt", "seed"])
    expected = bootstrap(rows["distance"], clusters=list(rows["prompt"]))
    told = summary.set_index("ablation").loc["up cross"]
    assert told["distance"] == pytest.approx(rows["distance"].mean())
    assert (told["distance_low"], told["distance_high"]) == pytest.approx(
        (expected.low, expected.high)
    )
    assert told["distance_low"] < told["distance"] < told["distance_high"]
    assert told["images"] == 10
    few = sweep(pipeline(), prompts[:2], "stages", seeds=2, num_inference_steps=1).summary()
    assert few["distance_low"].isna().all()  # two prompts are no sample of prompts


def test_an_encoder_that_is_named_judges_and_so_does_the_segmenter():
    found = sweep(pipeline(), [PROMPT, "a red a"], "stages", seeds=1, num_inference_steps=1,
                  encoder="openmoji-clip")  # fmt: skip
    shown = pictures(found)
    bare, images = (
        Image.fromarray(shown.pop("")),
        [Image.fromarray(each) for each in shown.values()],
    )
    table = found.table.query("prompt == @PROMPT")
    fits = clip_score([bare, *images], [PROMPT] * 7).values
    np.testing.assert_allclose(table["clip_score"], fits[1:], atol=1e-6)
    np.testing.assert_allclose(table["clip_change"], fits[1:] - fits[0], atol=1e-6)
    apart = perceptual_distance([bare] * 6, images).values
    np.testing.assert_allclose(table["perceptual_distance"], apart, atol=1e-6)
    assert table["neglected"].notna().all()
    # The other prompt names nothing that the segmenter knows, and that is said.
    assert found.table.query("prompt != @PROMPT")["neglected"].isna().all()
    assert found.notes == (
        "The segmenter knows no subject of 'a red a': nothing is told of subjects.",
    )


def test_what_an_encoder_lacks_is_noted():
    from encoders import lettered

    _, which = lettered(np.eye(3))
    notes = " ".join(_lacking(which, ["a cat"], scenes=False))
    assert "reads no texts" in notes
    assert "shows no layers" in notes
    assert "The segmenter knows the bundled scenes alone" in notes


# ---------------------------------------------------------------- going on


def evaluated(**options):
    """A sweep, and the number of rows that the denoiser evaluated for it."""
    rows, model = [], pipeline()
    hook = model.unet.register_forward_hook(lambda _, args, out: rows.append(len(args[0])))
    try:
        return sweep(
            model, [PROMPT, OTHER], "stages", seeds=1, num_inference_steps=2, **options
        ), sum(rows)
    finally:
        hook.remove()


def stop_at(number):
    def progress(done, total):
        if done >= number:
            raise KeyboardInterrupt

    return progress


def test_an_interrupted_sweep_goes_on_and_loses_no_finished_prompt(tmp_path):
    whole, rows = evaluated()
    with pytest.raises(KeyboardInterrupt):
        evaluated(store=tmp_path / "new", progress=stop_at(10))
    assert sorted(each.name for each in (tmp_path / "new").iterdir()) == [
        "cases", "recipe.json",
    ]  # fmt: skip
    assert len(list((tmp_path / "new" / "cases").iterdir())) == 1
    again, fewer = evaluated(store=tmp_path / "new")
    assert fewer == rows - 7 * 2 * 2  # the first prompt: 7 pictures, 2 steps, 2 halves
    pd.testing.assert_frame_equal(again.table, whole.table)
    for cell, done in whole.cases.items():
        assert np.array_equal(again.cases[cell].images, done.images)
        assert again.cases[cell].labels == done.labels


def test_progress_counts_pictures_up_to_all(tmp_path):
    told = []
    evaluated(progress=lambda *at: told.append(at))
    assert told[0] == (0, 14)
    assert told[-1] == (14, 14)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_another_sweep_is_not_mixed_with_an_unfinished_one(tmp_path):
    evaluated(store=tmp_path / "new")
    with pytest.raises(
        OutputError, match="unfinished sweep with another num_inference_steps. Give"
    ):
        sweep(
            pipeline(),
            [PROMPT, OTHER],
            "stages",
            seeds=1,
            num_inference_steps=1,
            store=tmp_path / "new",
        )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo").write_text("kept")
    with pytest.raises(OutputError, match="holds something that no unfinished sweep wrote"):
        evaluated(store=tmp_path / "mine")
    with pytest.raises(OutputError, match="is a file"):
        evaluated(store=tmp_path / "mine" / "photo")
    assert (tmp_path / "mine" / "photo").read_text() == "kept"


# ---------------------------------------------------------------- the folder


def test_a_folder_has_all_of_it(heads, tmp_path):
    heads.save(tmp_path / "out")
    told = json.loads((tmp_path / "out" / "recipe.json").read_text())
    there = {
        each.relative_to(tmp_path / "out").as_posix()
        for each in (tmp_path / "out").rglob("*")
        if each.is_file()
    }
    assert there == set(told["files"])
    assert there == {
        "table.csv", "summary.csv", "recipe.json", "report.html", "figures/effect-distance.png",
        "figures/sheet-000-seed-0.png", "figures/sheet-001-seed-0.png",
    }  # fmt: skip
    assert len(pd.read_csv(tmp_path / "out" / "table.csv")) == 56
    assert len(pd.read_csv(tmp_path / "out" / "summary.csv")) == 28
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png") == 3
    assert "up 0.1.0 cross, head 1" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_heat_table_has_layers_in_running_order_and_the_means_of_the_summary(heads):
    axes = dict(figures_of(heads))["effect-distance"].axes[0]
    names = [each.get_text() for each in axes.get_yticklabels()]
    seen = layers_of(TextToImage.of(pipeline()), Request(PROMPT, num_inference_steps=1))
    assert names == [layer.short for layer in seen]
    assert names[0] == "down 0.0.0 self"
    summary = heads.summary().set_index(["layer", "head"])["distance"]
    cells = [float(each) for each in axes.images[0].get_array().ravel()]
    expected = [summary[layer.path, head] for layer in seen for head in range(2)]
    assert cells == pytest.approx(expected)


def test_a_sheet_begins_with_the_picture_as_it_is_and_the_strongest_effect(heads):
    sheet = np.asarray(dict(figures_of(heads))["sheet-000-seed-0"])
    shown = pictures(heads)
    strongest = heads.table.query("prompt == @PROMPT").set_index("ablation")["distance"].idxmax()
    for place, name in enumerate(["", strongest]):
        left = 8 + place * (8 * 16 + 8)  # margins of 8; pictures of 16 pixels, eight times as large
        cut = sheet[8 : 8 + 128 : 8, left : left + 128 : 8]
        assert np.array_equal(cut, shown[name])


def test_only_some_sheets_are_on_the_page_and_the_others_are_named():
    found = sweep(pipeline(), PROMPT, "stages", seeds=7, num_inference_steps=1)
    page = page_of(found, dict(figures_of(found)))
    assert "1 more sheets lie in the folder figures." in page
    assert page.count("data:image/png") == 1 + 6


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"over": "haeds"}, UnknownName, "no sweep is named 'haeds'. Did you mean 'heads'?"),
        ({"over": "places"}, UnknownName, "Known: .*'places' are called 'stages' now"),
        ({"prompts": []}, ArgumentError, "there is no prompt. Give at least one"),
        ({"prompts": [PROMPT, PROMPT]}, ArgumentError, "comes twice"),
        ({"prompts": " "}, PromptError, "sweep: the prompt is empty"),
        ({"prompts": [PROMPT, PROMPT + " and" * 9]}, PromptError, "would cut this off: 'and"),
        ({"seeds": 0}, ArgumentError, "sweep: seeds is 0 and must be 1 or more"),
        ({"seeds": [1, 1]}, ArgumentError, "each once"),
        ({"seeds": [-1]}, ArgumentError, "seed is -1 and must lie in"),
        ({"num_inference_steps": 0}, ArgumentError, "sweep: num_inference_steps is 0"),
        ({"during": 2}, ArgumentError, "sweep: step 2 is asked for, and the run has 2: 0..1."),
        ({"during": [1, 1]}, ArgumentError, "is an empty range"),
        ({"model": "openmogi"}, UnknownName, "Did you mean 'openmoji'"),
        ({"encoder": "openmoji-klip"}, UnknownName, "openmoji-klip"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(options, error, message):
    drawn = []
    given = {
        "model": pipeline(),
        "prompts": PROMPT,
        "over": "heads",
        "num_inference_steps": 2,
        **options,
    }
    with pytest.raises(error, match=message):
        sweep(**given, progress=lambda *at: drawn.append(at))
    assert not drawn


def test_a_model_that_reads_no_words_has_none_to_leave_out():
    from diffusers import UNet2DConditionModel

    model = tiny_pipeline()
    options = {
        "sample_size": 8, "block_out_channels": (8, 16), "layers_per_block": 1,
        "down_block_types": ("AttnDownBlock2D", "DownBlock2D"), "mid_block_type": None,
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D"), "cross_attention_dim": 16,
        "attention_head_dim": 4, "norm_num_groups": 4,
    }  # fmt: skip
    model.unet = seeded(lambda: UNet2DConditionModel(**options))
    assert set(sweep(model, PROMPT, "layers", seeds=1, num_inference_steps=1).table["kind"]) == {
        "self"
    }
    with pytest.raises(ArgumentError, match="does the image read the text, so there are no words"):
        sweep(model, PROMPT, "words", seeds=1, num_inference_steps=1)


def test_a_model_without_attention_has_nothing_to_sweep():
    model = tiny_pipeline(attention_at=(False, False))
    model.unet.mid_block = None
    with pytest.raises(NothingObserved):
        sweep(model, PROMPT, "heads", seeds=1, num_inference_steps=1)


def test_the_package_hands_it_out():
    assert regard.sweep is sweep
