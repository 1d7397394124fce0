import json
import sys
from pathlib import Path

import pytest
import torch

from regard.errors import DataError, UnknownName
from regard.models import fingerprint, load, name_of
from regard.zoo import bundled, recipe, weights_folder
from small_recipes import NAMES

HERE = sys.modules["regard.zoo.bundled"]


@pytest.mark.parametrize("name", NAMES)
def test_a_model_opens_by_its_name_as_the_class_its_recipe_names(name, small):
    model = load(name)
    assert type(plain(model)).__name__ == recipe(name).network
    assert name_of(model) == name


def plain(model):
    """The object of its library; `load` wraps what it can."""
    return getattr(model, "tapped", model)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_opens_ready_to_use(name, small):
    model = plain(load(name))
    parts = getattr(model, "components", {"": model}).values()
    for part in parts:
        if hasattr(part, "parameters"):
            assert not part.training
            for weight in part.parameters():
                assert weight.dtype == torch.float32
                assert not weight.requires_grad


def test_plain_diffusers_opens_the_folder_and_makes_the_same_picture(small):
    from diffusers import StableDiffusionPipeline

    ours = load("openmoji")
    theirs = StableDiffusionPipeline.from_pretrained(small / "openmoji" / "model")
    theirs.set_progress_bar_config(disable=True)
    made = [
        pipeline(
            "a cat",
            num_inference_steps=1,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
        ).images
        for pipeline in (ours.pipeline, theirs)
    ]
    assert made[0].shape == (1, 64, 64, 3)
    assert abs(made[0] - made[1]).max() < 1e-5


def test_the_fingerprint_belongs_to_the_weights_not_to_the_file(small):
    once, again = load("openmoji-autoencoder"), load(small / "openmoji-autoencoder" / "model")
    assert fingerprint(once) == fingerprint(again)
    assert len(fingerprint(once)) == 64
    with torch.no_grad():
        next(again.parameters()).view(-1)[0] += 1
    assert fingerprint(once) != fingerprint(again)
    assert fingerprint(load("openmoji")) != fingerprint(load("openmoji-clip"))


def test_a_folder_is_named_as_it_was_given(small):
    folder = str(small / "openmoji-clip" / "model")
    assert name_of(load(folder)) == folder
    assert name_of(torch.nn.Linear(1, 1)) == "Linear"


def test_an_unknown_name_is_told_the_nearest_and_that_a_folder_would_do():
    with pytest.raises(UnknownName) as raised:
        load("openmoji-klip")
    message = str(raised.value)
    assert message.startswith("no model is named 'openmoji-klip'. Did you mean 'openmoji-clip'?")
    assert message.endswith("Or give the path of a folder with a diffusers or transformers model.")


def test_a_folder_without_a_model_says_what_is_missing(tmp_path):
    with pytest.raises(DataError, match="neither a model_index.json .* nor a config.json"):
        load(tmp_path)


@pytest.mark.parametrize(
    "config",
    [{"_class_name": "NoSuchModel"}, {"architectures": ["NoSuchModel"]}, {"architectures": []}],
)
def test_a_class_that_the_library_does_not_have_is_named(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="asks for the class '(NoSuchModel)?'"):
        load(tmp_path)


@pytest.mark.parametrize("file", ["model_index.json", "config.json"])
def test_a_damaged_folder_is_one_clear_line(tmp_path, file):
    (tmp_path / file).write_text("{ half a fi")
    with pytest.raises(DataError, match="is no JSON: Expecting property name"):
        load(tmp_path)


def test_weights_that_are_cut_short_are_one_clear_line(small, tmp_path):
    whole = small / "openmoji-autoencoder" / "model"
    (tmp_path / "config.json").write_bytes((whole / "config.json").read_bytes())
    weights = "diffusion_pytorch_model.safetensors"
    (tmp_path / weights).write_bytes((whole / weights).read_bytes()[:1000])
    with pytest.raises(DataError, match="could not be opened"):
        load(tmp_path)


def test_missing_weights_come_with_the_command_that_makes_them(tmp_path, monkeypatch):
    monkeypatch.delenv("REGARD_MODELS", raising=False)
    monkeypatch.setattr(HERE, "__file__", str(tmp_path / "bundled.py"))
    with pytest.raises(DataError, match="make them with: regard train openmoji-clip"):
        load("openmoji-clip")


def test_own_weights_come_before_the_bundled_ones(small, monkeypatch):
    assert weights_folder("openmoji") == small / "openmoji" / "model"
    monkeypatch.delenv("REGARD_MODELS")
    packaged = Path(HERE.__file__).parent / "weights" / "openmoji"
    if packaged.is_dir():
        assert weights_folder("openmoji") == packaged


def test_the_bundled_models_are_listed_in_the_order_of_their_training():
    listed = bundled()
    assert [each["name"] for each in listed] == list(NAMES)
    assert all(each["summary"].endswith(".") and each["class"] for each in listed)
