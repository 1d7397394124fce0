"""A network is opened with every tensor of its own, or refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from looks import pipeline
from regard.errors import DataError
from regard.models import fingerprint, load
from visions import tiny_vision, vision_folder


def thin(file, keep):
    """Leave out the tensors whose names are not kept; how many are left out."""
    tensors = load_file(file)
    kept = {name: value for name, value in tensors.items() if keep(name)}
    save_file(kept, file, metadata={"format": "pt"})
    return len(tensors) - len(kept)


@pytest.mark.parametrize("name", ["ViTForImageClassification", "Dinov2Model", "SiglipVisionModel"])
def test_half_a_network_is_refused_and_what_is_missing_is_named(tmp_path, name):
    vision_folder(tmp_path, name)
    number = thin(tmp_path / "model.safetensors", lambda each: ".0." in each or "layer" not in each)
    with pytest.raises(DataError) as refusal:
        load(tmp_path)
    assert f"lacks {number} of " in str(refusal.value)
    assert f"tensors of a {name}: " in str(refusal.value)
    assert ".1." in str(refusal.value)


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_half_a_part_of_a_pipeline_is_refused(tmp_path, part):
    pipeline().save_pretrained(tmp_path)
    (file,) = (tmp_path / part).glob("*.safetensors")
    names = sorted(load_file(file))
    number = thin(file, lambda each: each in names[: len(names) // 2])
    with pytest.raises(DataError, match=f"{part} lacks {number} of {len(names)} tensors"):
        load(tmp_path)


def test_one_tensor_that_is_missing_is_enough(tmp_path):
    vision_folder(tmp_path)
    thin(tmp_path / "model.safetensors", lambda name: name != "classifier.weight")
    with pytest.raises(DataError, match=r"lacks 1 of \d+ tensors .*: classifier\.weight\. With"):
        load(tmp_path)


def test_a_pooler_that_was_never_trained_may_be_missing_and_is_the_same_each_time(tmp_path):
    import transformers

    vit = tiny_vision("ViTModel")
    assert isinstance(vit, transformers.ViTModel)
    vit.save_pretrained(tmp_path)
    left = thin(tmp_path / "model.safetensors", lambda name: "pooler" not in name)
    assert left == 2
    once, again = load(tmp_path), load(tmp_path)
    assert fingerprint(once) == fingerprint(again)
    assert not once.model.pooler.dense.weight.any()


def test_a_mask_token_may_be_missing(tmp_path):
    vision_folder(tmp_path, "Dinov2Model")
    assert thin(tmp_path / "model.safetensors", lambda name: "mask_token" not in name) == 1
    assert fingerprint(load(tmp_path)) == fingerprint(load(tmp_path))


def test_more_layers_than_the_configuration_says_are_refused(tmp_path):
    vision_folder(tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**said, "num_hidden_layers": 1}))
    with pytest.raises(DataError, match=r"has 16 tensors that a ViTForImageClassification by its"):
        load(tmp_path)


def test_other_shapes_than_the_configuration_says_are_refused(tmp_path):
    vision_folder(tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**said, "intermediate_size": 48}))
    with pytest.raises(DataError) as refusal:
        load(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_tower_without_the_head_of_its_checkpoint_opens(tmp_path):
    vision_folder(tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**said, "architectures": ["ViTModel"]}))
    model = load(tmp_path).model
    theirs = tiny_vision("ViTForImageClassification").vit.state_dict()
    ours = model.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_a_unet_with_tensors_that_it_has_no_place_for_is_refused(tmp_path):
    unet = pipeline().unet
    unet.save_pretrained(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    save_file({**load_file(file), "adapter.weight": torch.ones(1)}, file, {"format": "pt"})
    with pytest.raises(DataError, match=r"has 1 tensors that a UNet2DConditionModel .*adapter"):
        load(tmp_path)


def test_weights_in_several_files_open(tmp_path):
    vision_folder(tmp_path)
    vit = load(tmp_path).model
    vit.save_pretrained(tmp_path / "parts", max_shard_size="10KB")
    (tmp_path / "parts" / "preprocessor_config.json").write_text("{}")
    assert len(list((tmp_path / "parts").glob("*-of-*"))) > 1
    (tmp_path / "parts" / "preprocessor_config.json").unlink()
    assert fingerprint(load(tmp_path / "parts")) == fingerprint(vit)
