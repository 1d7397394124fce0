"""A checkpoint in one file, in the layout of its authors, opens as the folder does."""

import os
import pickle

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import guided
import ldm
import tiny
from looks import pipeline
from regard.cli import app
from regard.errors import ArgumentError, DataError
from regard.generation import Request, generate
from regard.models import TextToImage, load, name_of
from unchecked import unchecked

REQUEST = Request("a cat on grass", seed=1, num_inference_steps=1)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The folder of a pipeline, one with its configuration alone, and its weights in two files."""
    place = tmp_path_factory.mktemp("single")
    whole, bare = place / "whole", place / "bare"
    for each in (whole, bare):
        pipeline().save_pretrained(each)
    for file in bare.rglob("*.safetensors"):
        file.unlink()
    weights = ldm.checkpoint(pipeline())
    save_file(weights, place / "sd.safetensors")
    torch.save({"state_dict": weights, "global_step": 3}, place / "sd.ckpt")
    return place


@pytest.fixture
def offline(monkeypatch):
    """No network and an empty cache; what is asked for is noted."""
    asked = []

    def refuse(name, **options):
        asked.append(name)
        raise OSError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    return asked


@pytest.mark.parametrize("file", ["sd.safetensors", "sd.ckpt"])
@pytest.mark.parametrize("config", ["whole", "bare"])
def test_a_file_is_the_folder(places, offline, file, config):
    model = load(places / file, config=places / config, device="cpu")
    folder = TextToImage.of(places / "whole")
    assert model.fingerprint == folder.fingerprint
    assert name_of(model) == str(places / file)
    one, other = (generate(each, [REQUEST])[0] for each in (model, folder))
    assert torch.equal(one.latents, other.latents)
    assert one.image.tobytes() == other.image.tobytes()
    assert offline == []
    assert type(model.denoiser).__name__ == "UNet2DConditionModel"
    assert type(model.denoiser).__module__.startswith("diffusers.")


def xl():
    """Stable Diffusion XL, whose second text encoder is wider."""
    from diffusers import StableDiffusionXLPipeline
    from transformers import CLIPTextModelWithProjection

    parts = guided.xl()
    config = tiny.tiny_text_encoder(parts["tokenizer"], 24).config
    config.projection_dim = 24
    unet = guided.settings(parts["unet"]) | {
        "cross_attention_dim": 40, "projection_class_embeddings_input_dim": 6 * 8 + 24,
    }  # fmt: skip
    parts["text_encoder_2"] = tiny.seeded(lambda: CLIPTextModelWithProjection(config))
    parts["unet"] = tiny.seeded(lambda: type(parts["unet"])(**unet))
    return StableDiffusionXLPipeline(**parts)


def test_stable_diffusion_xl_opens_with_both_text_encoders(offline, tmp_path):
    made = xl()
    made.save_pretrained(tmp_path / "whole")
    save_file(ldm.checkpoint(made), tmp_path / "xl.safetensors")
    for file in (tmp_path / "whole").rglob("*.safetensors"):
        file.unlink()
    model = load(tmp_path / "xl.safetensors", config=tmp_path / "whole", device="cpu")
    assert model.class_name == "StableDiffusionXLPipeline"
    assert model.fingerprint == TextToImage.of(made).fingerprint
    assert [part.length for part in model.family.parts(model.pipeline)] == [tiny.TEXT_LENGTH]


def test_numbers_are_those_that_are_asked_for(places):
    model = load(places / "sd.safetensors", config=str(places / "bare"), dtype="bfloat16")
    assert model.denoiser.dtype == torch.bfloat16
    assert not any(each.requires_grad for each in model.denoiser.parameters())
    assert not model.denoiser.training


def test_a_config_is_fetched_by_its_identifier_without_weights(places, monkeypatch):
    asked = []

    def snapshot(name, *, allow_patterns):
        asked.append((name, allow_patterns))
        return str(places / "bare")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    given = load(places / "sd.safetensors", config="someone/tiny", device="cpu")
    guessed = load(places / "sd.safetensors", device="cpu")
    names, patterns = zip(*asked, strict=True)
    assert names == ("someone/tiny", "stable-diffusion-v1-5/stable-diffusion-v1-5")
    assert not any("safetensors" in each for some in patterns for each in some)
    assert given.fingerprint == guessed.fingerprint


def test_without_a_config_and_a_network_the_cure_is_said(places, offline):
    with pytest.raises(
        DataError, match=r"^load: .*sd\.safetensors does not say .*config=.*--config"
    ):
        load(places / "sd.safetensors")
    assert set(offline) == {"stable-diffusion-v1-5/stable-diffusion-v1-5"}


def test_a_tensor_that_is_missing_is_named_and_never_random(places, tmp_path):
    weights = ldm.checkpoint(pipeline())
    del weights["model.diffusion_model.middle_block.1.norm.weight"]
    save_file(weights, tmp_path / "short.safetensors")
    with pytest.raises(DataError, match=r"lacks 1 of \d+ .*mid_block\.attentions\.0\.norm\.weight"):
        load(tmp_path / "short.safetensors", config=places / "whole")


def test_a_tensor_without_a_place_is_named(places, tmp_path):
    weights = ldm.checkpoint(pipeline())
    weights["model.diffusion_model.middle_block.1.extra.weight"] = torch.ones(1)
    save_file(weights, tmp_path / "long.safetensors")
    with pytest.raises(DataError, match=r"no place for: mid_block\.attentions\.0\.extra\.weight"):
        load(tmp_path / "long.safetensors", config=places / "whole")


def test_a_part_that_the_file_has_not_comes_from_the_folder_or_not_at_all(places, tmp_path):
    weights = ldm.checkpoint(pipeline())
    unet = {name: value for name, value in weights.items() if name.startswith("model.")}
    save_file(unet, tmp_path / "unet.safetensors")
    model = load(tmp_path / "unet.safetensors", config=places / "whole")
    assert model.fingerprint == TextToImage.of(pipeline()).fingerprint
    with pytest.raises(DataError, match="holds no weights"):
        load(tmp_path / "unet.safetensors", config=places / "bare")


def test_one_network_as_diffusers_saves_it_is_a_file_too(places):
    file = places / "whole" / "unet" / "diffusion_pytorch_model.safetensors"
    model = load(file, config=places / "whole")
    assert model.fingerprint == TextToImage.of(pipeline()).fingerprint


def test_another_architecture_is_refused(places, tmp_path):
    tiny.tiny_pipeline(channels=(4, 16)).save_pretrained(tmp_path / "wider")
    with pytest.raises(
        DataError, match=r"has conv_.* in other shapes than .*unet says\. Give config="
    ):
        load(places / "sd.safetensors", config=tmp_path / "wider")


class Runs:
    """A pickle that runs code when it is opened as pickles are."""

    def __reduce__(self):
        return os.mkdir, ("was-run",)


def test_a_pickle_of_more_than_tensors_is_never_run(places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": Runs()}}, "evil.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(Runs()))
    for name in ("evil.ckpt", "plain.ckpt"):
        with pytest.raises(DataError, match=r"only tensors are read: give the \.safetensors"):
            load(name, config=places / "whole")
    assert not (tmp_path / "was-run").exists()


def test_what_is_no_checkpoint_is_refused(places, tmp_path):
    (tmp_path / "notes.txt").write_text("a cat")
    with pytest.raises(DataError, match=r"must end in \.safetensors or \.ckpt"):
        load(tmp_path / "notes.txt")
    (tmp_path / "broken.safetensors").write_bytes(b"no tensors")
    with pytest.raises(DataError, match="could not be opened"):
        load(tmp_path / "broken.safetensors", config=places / "whole")
    torch.save({"epoch": 3}, tmp_path / "empty.ckpt")
    with pytest.raises(DataError, match="holds no tensors by name"):
        load(tmp_path / "empty.ckpt", config=places / "whole")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"has no model_index\.json"):
        load(places / "sd.safetensors", config=tmp_path / "none")
    with pytest.raises(DataError, match=r"is a folder, .*Leave out config="):
        load(places / "whole", config=places / "bare")
    with pytest.raises(ArgumentError, match=r"^load: config is 3 and must be"):
        unchecked(load, places / "sd.safetensors", config=3)


def test_the_command_line_takes_a_file_with_its_config(places, tmp_path, offline):
    given = ["--model", str(places / "sd.safetensors"), "--config", str(places / "whole")]
    rest = ["--num-inference-steps", "1", "--out", str(tmp_path / "cat")]
    done = CliRunner().invoke(app, ["look", "a cat", *given, *rest])
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "cat" / "page.html").is_file()
    assert offline == []
