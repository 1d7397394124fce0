from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError

import tiny
from regard.errors import DataError, UnknownName
from regard.models import load, name_of
from regard.models.hub import fetched, wanted

NAME = "someone/tiny-diffusion"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("hub") / "snapshot"
    tiny.tiny_pipeline().save_pretrained(place)
    return place


def hub(monkeypatch, *, files=(), folder=None, cached=None, failure=None):
    """A hub that has one model, or fails; what was downloaded is noted."""
    asked = []

    def info(self, name, **options):
        if failure is not None:
            raise failure
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=each) for each in files])

    def snapshot(name, *, allow_patterns=None, local_files_only=False):
        asked.append((name, allow_patterns))
        if local_files_only and cached is None:
            raise FileNotFoundError("not in the cache")
        return str(cached if local_files_only else folder)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return asked


def test_a_model_of_the_hub_opens_by_its_identifier(monkeypatch, folder, tmp_path):
    monkeypatch.chdir(tmp_path)
    files = [str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()]
    asked = hub(monkeypatch, files=[*files, "sd.ckpt", "unet/weights.bin"], folder=folder)
    model = load(NAME)
    assert type(model.pipeline).__name__ == "StableDiffusionPipeline"
    assert name_of(model) == NAME
    (name, patterns), *_ = asked
    assert name == NAME
    assert set(patterns) <= set(files)
    assert "unet/diffusion_pytorch_model.safetensors" in patterns


def test_without_a_network_the_cache_serves(monkeypatch, folder):
    hub(monkeypatch, failure=OSError("Name or service not known"), cached=folder)
    assert fetched(NAME) == folder


def test_what_is_neither_here_nor_there_is_one_line(monkeypatch):
    hub(monkeypatch, failure=OSError("Name or service not known"))
    with pytest.raises(UnknownName, match="no such folder, and the hub did not give it .Name or"):
        load(NAME)


def test_a_gated_model_says_how_to_be_let_in(monkeypatch):
    hub(monkeypatch, failure=GatedRepoError.__new__(GatedRepoError))
    with pytest.raises(DataError, match="Accept its terms .* log in"):
        load(NAME)


def test_a_folder_of_that_name_comes_first(monkeypatch, folder, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "someone").mkdir()
    (tmp_path / "someone" / "tiny-diffusion").symlink_to(folder)
    asked = hub(monkeypatch, failure=AssertionError("nobody asks the hub"))
    assert load(NAME).name == NAME
    assert asked == []


def test_shards_variants_and_other_formats():
    files = [
        "config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors", "model.fp16-00001-of-00001.safetensors",
        "model.non_ema.safetensors", "pytorch_model.bin", "README.md", "vocab.txt",
        "v1.safetensors",
    ]  # fmt: skip
    assert wanted(files) == [
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "vocab.txt",
    ]  # fmt: skip
    assert "model.fp16-00001-of-00001.safetensors" in wanted(files, "fp16")
    assert "model-00001-of-00002.safetensors" not in wanted(files, "fp16")
