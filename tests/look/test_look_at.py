import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from looks import pipeline, seen
from regard.cli import app
from regard.cli.look_image import artefacts_of
from regard.errors import ArgumentError, DataError, UnknownName
from regard.look import Look, look, look_at, verify
from regard.look import image as room
from regard.models import load
from regard.tap import Tap
from regard.trace import Trace, labelled_layer
from visions import LABELS, NAMES, picture, tiny_vision, vision_folder

CLASSIFIER = "ViTForImageClassification"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return vision_folder(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def looked(folder):
    return look_at(folder, picture(), size=(24, 40))


def eager(model, pixels):
    """The library's own attention, [layer][sample, head, query, key]."""
    model.model.set_attn_implementation("eager")
    with torch.no_grad():
        out = model.forward(pixels, output_attentions=True)
    model.model.set_attn_implementation("sdpa")
    return out.attentions


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_those_that_the_library_gives_away(name, tmp_path):
    model = load(vision_folder(tmp_path, name))
    trace = look_at(model, picture(), size=(16, 40)).trace
    theirs = eager(model, model.pixels([picture()], (16, 40)))
    ours = [each for each in trace.self_attention.values() if each.attrs["kind"] == "self"]
    assert len(ours) == len(theirs) == 2
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.values, other.numpy(), atol=1e-6)
        assert mine.attrs["grid"] == [2, 5]
        np.testing.assert_allclose(mine.sum("key"), 1.0, atol=1e-5)
    assert trace.recipe["parity_error"] < 1e-5


PREFIXES = {
    "ViTModel": ["cls"],
    "DeiTForImageClassification": ["cls", "distillation"],
    "Dinov2WithRegistersModel": ["cls", *(f"register.{i}" for i in range(1, 5))],
    "SiglipVisionModel": [],
}


@pytest.mark.parametrize("name", PREFIXES)
def test_the_tokens_before_the_patches_have_their_names(name):
    from dataclasses import replace

    from regard.models import vision_of

    model = vision_of(tiny_vision(name))
    how = replace(model.preparation, mean=(0.5,) * 3, std=(0.5,) * 3)
    trace = look_at(replace(model, preparation=how), picture()).trace
    first = next(iter(trace.self_attention.values()))
    assert first.attrs["prefix"] == PREFIXES[name]
    assert first.attrs["patch"] == [8, 8]
    probes = ["probe"] if name == "SiglipVisionModel" else []
    assert list(trace.queries) == [*PREFIXES[name], "mean", *probes]


def test_looking_does_not_change_a_bit_of_what_the_model_says(folder):
    model, told = load(folder), []
    original = type(model).forward

    def forward(self, pixels, **options):
        told.append(original(self, pixels, **options))
        return told[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "forward", forward)
        look_at(model, picture())
    with torch.no_grad():
        bare = model.logits(model.pixels([picture()]))
    assert torch.equal(told[0].logits, bare)


def test_the_picture_is_as_the_model_saw_it(looked):
    expected = picture().resize((40, 24), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(np.asarray(looked.image), np.asarray(expected))
    np.testing.assert_array_equal(looked.trace.image, np.asarray(expected))
    assert looked.latents is None
    assert isinstance(looked, Look)
    assert repr(looked).startswith("Look(24x40 pixels; Trace(")


def test_the_recipe_says_what_was_looked_at_with_what(looked, folder):
    recipe = looked.trace.recipe
    assert json.loads(json.dumps(recipe)) == recipe
    assert (recipe["model"], recipe["size"], recipe["dtype"]) == (str(folder), [24, 40], "float32")
    assert recipe["labels"] == LABELS
    assert (recipe["interpolated"], recipe["interpolation"]["to"]) == (True, [3, 5])
    assert recipe["keep"] == ["layer", "head", "query"]
    layer = "self: 16 queries, 16 keys: 3x5 image after cls, 2 heads"
    assert recipe["layouts"] == {f"vit.layers.{i}.attention": layer for i in range(2)}
    assert {len(recipe["weights_sha256"]), len(recipe["image"])} == {64}
    assert set(recipe["versions"]) == {"regard", "torch", "transformers"}
    assert not look_at(folder, picture()).trace.recipe["interpolated"]


def test_the_fingerprint_of_a_picture_is_of_its_pixels(folder, tmp_path):
    picture().save(tmp_path / "a.png")
    picture().save(tmp_path / "b.bmp")
    prints = [look_at(folder, tmp_path / name).trace.recipe["image"] for name in ("a.png", "b.bmp")]
    assert prints[0] == prints[1] == look_at(folder, picture()).trace.recipe["image"]
    assert prints[0] != look_at(folder, picture(seed=1)).trace.recipe["image"]


def test_the_prediction_is_the_softmax_of_the_logits_in_order(looked, folder):
    model = load(folder)
    with torch.no_grad():
        shares = model.logits(model.pixels([picture()], (24, 40))).softmax(-1)[0]
    told = dict(looked.trace.recipe["prediction"])
    assert list(told) == [LABELS[i] for i in shares.argsort(descending=True)]
    assert told == pytest.approx(dict(zip(LABELS, shares.tolist(), strict=True)), abs=1e-6)


def test_an_encoder_predicts_nothing(tmp_path):
    recipe = look_at(vision_folder(tmp_path, "Dinov2Model"), picture()).trace.recipe
    assert (recipe["labels"], recipe["prediction"]) == ([], [])


def test_only_the_rows_that_were_named_are_kept(folder, looked):
    trace = look_at(folder, picture(), size=(24, 40), queries=["cls"]).trace
    assert trace.queries == ("cls",)
    np.testing.assert_allclose(trace.attention(), looked.trace.attention(), rtol=1e-5, atol=1e-6)
    assert trace.recipe["keep"] == ["layer", "head", "cls"]


def test_a_token_that_is_not_there_is_told_the_known_ones(folder):
    with pytest.raises(UnknownName, match="no token before the patches is named 'register.1'.*cls"):
        look_at(folder, picture(), queries=["register.1"])


@pytest.mark.parametrize("queries", ["cls", []])
def test_queries_are_a_list_of_at_least_one(folder, queries):
    with pytest.raises(ArgumentError, match=r"look_at: queries is (the text|empty)"):
        look_at(folder, picture(), queries=queries)


def test_more_than_fits_is_refused_before_the_model_runs(folder, monkeypatch):
    monkeypatch.setattr(room, "MOST", 2**8)
    model = load(folder)
    with pytest.raises(
        ArgumentError, match="where every one of 10 tokens looks takes .* Keep some"
    ):
        look_at(model, picture())
    assert look_at(model, picture(), queries=["cls"]).trace.queries == ("cls",)


def test_the_model_is_as_before_even_when_a_look_fails(folder):
    model = load(folder)
    before = [len(each._forward_hooks) for each in model.model.modules()]
    with pytest.raises(UnknownName):
        look_at(model, picture(), queries=["nobody"])
    assert [len(each._forward_hooks) for each in model.model.modules()] == before
    with Tap(model.model):
        model.forward(model.pixels([picture()]))


def test_what_is_no_picture_or_no_such_model_is_told(folder, tmp_path):
    with pytest.raises(DataError, match="could not be read"):
        look_at(folder, tmp_path / "none.png")
    with pytest.raises(DataError, match="it must be uint8"):
        look_at(folder, np.zeros((8, 8, 3)))
    with pytest.raises(ArgumentError, match="StableDiffusionPipeline takes no images"):
        look_at(pipeline(), picture())


def test_a_model_of_no_known_family_is_told_how_to_make_its_tokens_known(tmp_path):
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(image_size=16, patch_size=2, embed_dim=8, depths=[1], num_heads=[2])
    SwinForImageClassification(config).save_pretrained(tmp_path)
    said = {"size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(ArgumentError, match="no token layout is known for SwinForImage.*Register"):
        look_at(tmp_path, picture())


def test_patches_without_a_grid_are_refused(folder, monkeypatch):
    from regard.tap import TokenLayout, segments
    from regard.tap.family import FamilyLayout

    flat = segments(("cls", 1), ("image", 9))
    family = FamilyLayout(lambda model, inputs, shape: TokenLayout(flat, flat))
    monkeypatch.setattr("regard.tap.model.known_family", lambda model: family)
    with pytest.raises(ArgumentError, match="the 9 patches of vit.layers.0.attention have no grid"):
        look_at(folder, picture())


def test_a_model_that_looks_at_pictures_draws_none(folder):
    with pytest.raises(ArgumentError, match=r"looks at images and generates none. Use look_at"):
        look(folder, "a cat")
    with pytest.raises(ArgumentError, match="this look is at an image and has no words"):
        verify(pipeline(), look_at(folder, picture()))


# ---------------------------------------------------------------- saving


def test_a_saved_look_is_a_folder_with_all_its_parts(looked, tmp_path):
    out = tmp_path / "out"
    looked.save(out)
    names = {"image.png", "predictions.csv", "heatmaps", "trace.zarr", "page.html"}
    assert {each.name for each in out.iterdir()} == names
    maps = sorted(each.name for each in (out / "heatmaps").iterdir())
    assert maps == [f"00{i}-vit_layers_{i}_attention.png" for i in range(2)]
    with (out / "predictions.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["label"] for row in rows] == [name for name, _ in looked.trace.recipe["prediction"]]
    again = Trace.load(out / "trace.zarr")
    np.testing.assert_allclose(again.attention((1, 2)), looked.trace.attention((1, 2)), rtol=1e-3)


def test_a_saved_look_can_be_replaced_by_one_of_the_other_sort(looked, tmp_path):
    looked.save(tmp_path)
    seen().save(tmp_path, overwrite=True)
    assert not (tmp_path / "predictions.csv").exists()
    looked.save(tmp_path, overwrite=True)
    assert not (tmp_path / "words.csv").exists()


def test_maps_of_a_model_without_class_token_are_of_the_mean_and_the_probe(tmp_path, monkeypatch):
    titles = []
    from regard.views import stamp

    original = stamp.stamp

    def noted(image, heat, *, title, top):
        titles.append((title, top))
        return original(image, heat, title=title, top=top)

    monkeypatch.setattr(stamp, "stamp", noted)
    look_at(vision_folder(tmp_path / "m", "SiglipVisionModel"), picture()).save(
        tmp_path / "out", scale="shared"
    )
    assert [title.split()[0] for title, _ in titles] == ["mean", "mean", "probe"]
    assert len({top for _, top in titles}) == 1  # one scale for all, as was asked
    assert titles[0][1] is not None


def test_a_map_has_a_scale_of_its_own_unless_one_is_asked_for(folder, tmp_path, monkeypatch):
    tops = []
    from regard.views import stamp

    original = stamp.stamp

    def noted(image, heat, *, title, top):
        tops.append(top)
        return original(image, heat, title=title, top=top)

    monkeypatch.setattr(stamp, "stamp", noted)
    seen = look_at(folder, picture())
    seen.save(tmp_path / "out")
    assert set(tops) == {None}
    with pytest.raises(UnknownName, match="no scale for Look.save is named 'each_'"):
        seen.save(tmp_path / "other", scale="each_")
    assert not (tmp_path / "other").exists()


# ---------------------------------------------------------------- the command line


def regard_(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def file(tmp_path):
    picture().save(tmp_path / "My Boot.png")
    return tmp_path / "My Boot.png"


def test_look_at_a_picture_writes_a_folder_and_says_what_it_shows(folder, file, tmp_path):
    out = tmp_path / "out"
    done = regard_("look", "--image", file, "--model", folder, "--out", out)
    assert done.exit_code == 0, done.output
    trace = Trace.load(out / "trace.zarr")
    best, share = trace.recipe["prediction"][0]
    assert done.stdout.splitlines()[0].split() == [best, f"{share:.3f}"]
    assert f"Open {out / 'page.html'}" in done.stdout
    assert done.stderr == ""


def test_a_size_off_the_training_is_told(folder, file, tmp_path):
    options = ("--size", "16x40", "--queries", "cls", "--out", tmp_path / "out")
    done = regard_("look", "--image", file, "--model", folder, *options)
    assert done.exit_code == 0, done.output
    assert "positions were interpolated from 3x3 to 2x5 patches" in done.stderr
    assert Trace.load(tmp_path / "out" / "trace.zarr").queries == ("cls",)


def test_without_out_the_folder_is_named_after_picture_and_model(
    folder, file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert regard_("look", "--image", file, "--model", folder).exit_code == 0
    assert (tmp_path / f"my-boot-{folder.name}" / "page.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("look",), "give a prompt, such as 'a cat on the beach', or an image with --image"),
        (
            ("look", "a cat", "--image", "x.png"),
            "a prompt is for generating, and --image takes an image",
        ),
        (("look", "--image", "x.png", "--seed", 3), "--seed is for generating"),
        (("look", "--image", "x.png", "--verify"), "--verify is for generating"),
        (("look", "a cat", "--queries", "cls"), "--queries is for an image"),
        (("look", "--image", "none.png", "--model", "openmoji-clip"), "none.png could not be read"),
    ],
)
def test_mistakes_are_one_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = regard_(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_trace_of_a_picture_has_no_words_to_show(looked, tmp_path):
    looked.trace.save(tmp_path / "t.zarr")
    done = regard_("words", tmp_path / "t.zarr")
    assert done.exit_code == 2
    assert "this trace has no words" in done.stderr


def test_tokens_of_outsized_norm_are_named_by_layer(folder):
    model = load(folder)
    with torch.no_grad():  # of ten tokens, the fourth patch of 3x3: y 1, x 0
        model.model.vit.embeddings.position_embeddings[0, 4] += 50.0
    trace = look_at(model, picture()).trace
    assert trace.recipe["norm_outliers"][next(iter(trace.self_attention))] == ["y 1, x 0"]


def test_sinks_and_outliers_are_told_on_the_command_line():
    weights = np.full((1, 2, 17, 17), 1 / 17)
    weights[..., 6] = 0.5
    layer = labelled_layer(
        weights, grid=(4, 4), prefix=["cls"], queries=None, kind="self", stage=None, patch=(1, 1)
    )
    trace = Trace({"one": layer}, (), {"norm_outliers": {"one": ["cls"]}})
    assert artefacts_of(trace) == [
        "Where cls looks in one, sinks: y 1, x 1 takes 0.5.",
        "Norm outliers: cls in 1 of 1 layers.",
    ]


def test_a_module_needs_its_processor_and_is_then_looked_at_as_its_folder_is(folder):
    import transformers

    module = transformers.ViTForImageClassification.from_pretrained(folder)
    with pytest.raises(DataError, match="unknown which pixels .* give it with processor="):
        look_at(module, picture())
    processor = transformers.ViTImageProcessorPil.from_pretrained(folder)
    ours, theirs = look_at(module, picture(), processor=processor), look_at(folder, picture())
    np.testing.assert_array_equal(ours.trace.attention("cls"), theirs.trace.attention("cls"))


def test_maps_lie_over_the_pixels_that_are_in_patches(tmp_path):
    said = {"size": {"height": 28, "width": 28}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    seen = look_at(vision_folder(tmp_path, processor=said, image_size=28), picture())
    assert seen.image.size == (24, 24)
    assert seen.trace.attention("cls").shape == (3, 3)
