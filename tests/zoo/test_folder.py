"""What comes in a model's folder is never run, and settings of no use are refused at once."""

import json
import shutil
import sys
import time
from contextlib import suppress

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from looks import pipeline
from regard.cli import app
from regard.errors import DataError
from regard.models import load
from regard.models.captioner import captions
from regard.models.encoder import encoder
from visions import vision_folder

HARM = """
from pathlib import Path
Path({mark!r}).write_text("was run")
from transformers import PreTrainedModel as _M, PretrainedConfig as Own, ViTImageProcessor as Eyes
from transformers import CLIPTokenizer as Words
from diffusers import DiffusionPipeline as Pipe, UNet2DConditionModel as Net
class Model(_M): config_class = Own
def generate(*given, **options): pass
"""


@pytest.fixture
def mark(tmp_path):
    """The file that appears if anything in a hostile folder is run."""
    return tmp_path / "was-run"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    pipeline().save_pretrained(folder)
    return folder


@pytest.fixture
def eyes(tmp_path, mark):
    """A whole vision transformer with code beside it."""
    folder = vision_folder(tmp_path / "eyes")
    (folder / "my.py").write_text(HARM.format(mark=str(mark)))
    return folder


@pytest.fixture
def painter(tmp_path, saved, mark):
    """A whole pipeline with code in it, everywhere."""
    folder = shutil.copytree(saved, tmp_path / "painter")
    for place in (folder, *(each for each in folder.iterdir() if each.is_dir())):
        (place / "my.py").write_text(HARM.format(mark=str(mark)))
    return folder


def change(file, **settings):
    said = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**said, **settings}))


def refused(*arguments):
    """What is said on one line by a command to which every question is answered with yes."""
    done = CliRunner().invoke(app, [str(each) for each in arguments], input="y\n" * 20)
    assert done.exit_code == 2, (done.output, done.exception)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "trust_remote_code" not in line
    assert "weights_only" not in line
    return line


OWN = {
    "AutoConfig": "my.Own",
    "AutoModel": "my.Model",
    "AutoImageProcessor": "my.Eyes",
    "AutoTokenizer": ["my.Words", None],
}


@pytest.mark.parametrize(
    "settings",
    [
        {"architectures": ["AutoModel"]},
        {"architectures": ["AutoModel"], "model_type": "mine"},
        {"architectures": ["Model"], "model_type": "mine"},
        {"architectures": ["AutoModelForImageClassification"]},
        {"_class_name": "AutoModel"},
        {"_class_name": ["my", "Model"]},
        {"architectures": ["pipeline"]},
        {"architectures": [["my", "Model"]]},
        {"architectures": "AutoModel"},
    ],
)
def test_code_that_comes_with_a_network_is_not_run(eyes, tmp_path, mark, settings):
    Image.new("RGB", (24, 24)).save(tmp_path / "a.png")
    change(eyes / "config.json", auto_map=OWN, **settings)
    line = refused("look", "--image", tmp_path / "a.png", "--model", eyes, "--out", tmp_path / "o")
    assert "code that comes with a model is never run" in line
    assert not mark.exists()
    assert not (tmp_path / "o").exists()


def test_a_class_of_the_library_opens_whatever_code_lies_beside_it(eyes, mark):
    change(eyes / "config.json", auto_map=OWN)
    change(eyes / "preprocessor_config.json", auto_map=OWN)
    assert type(load(eyes).model).__name__ == "ViTForImageClassification"
    assert not mark.exists()


@pytest.mark.parametrize("part", ["preprocessor_config.json", "tokenizer_config.json"])
def test_code_of_a_processor_or_tokenizer_is_not_run(tmp_path, small, mark, part):
    folder = shutil.copytree(small / "openmoji-clip" / "model", tmp_path / "clip")
    (folder / "my.py").write_text(HARM.format(mark=str(mark)))
    change(folder / "config.json", auto_map=OWN)
    change(folder / "preprocessor_config.json", image_mean=[0.5] * 3, image_std=[0.5] * 3)
    change(folder / part, auto_map=OWN, tokenizer_class="Words", image_processor_type="Eyes")
    with suppress(DataError):  # the library may know what to take instead
        encoder(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"_class_name": ["my", "Pipe"]}, "needs code of its own (['my', 'Pipe'])"),
        ({"_class_name": "my"}, "needs the pipeline 'my', which diffusers does not have"),
        ({"_class_name": "AutoPipelineForText2Image"}, "needs the pipeline"),
        ({"_class_name": None}, "needs the pipeline 'None'"),
        ({"unet": ["my", "Net"]}, "asks for the unet 'Net' of 'my'"),
        ({"unet": ["my_module", "Net"]}, "asks for the unet 'Net' of 'my_module'"),
        ({"scheduler": ["my", "Net"]}, "asks for the scheduler 'Net' of 'my'"),
        ({"unet": ["os", "system"]}, "asks for the unet 'system' of 'os'"),
        ({"unet": ["builtins", "eval"]}, "asks for the unet 'eval' of 'builtins'"),
        ({"unet": ["torch", "load"]}, "asks for the unet 'load' of 'torch'"),
        ({"unet": ["diffusers", 3]}, "gives unet as ['diffusers', 3]; it must be a library and"),
        ({"unet": ["diffusers"]}, "gives unet as ['diffusers']"),
        ({"unet": ["diffusers", "__import__"]}, "asks for the unet '__import__'"),
        ({"unet": ["diffusers", "AutoModel"]}, "could not be opened"),
        ({"tokenizer": ["transformers", "AutoTokenizer"]}, "could not be opened"),
    ],
)
def test_code_that_comes_with_a_pipeline_is_not_run(painter, tmp_path, mark, settings, said):
    change(painter / "model_index.json", **settings)
    for part in ("unet/config.json", "tokenizer/tokenizer_config.json"):
        change(painter / part, auto_map=OWN)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "my_module.py").write_text(HARM.format(mark=str(mark)))
    sys.path.insert(0, str(elsewhere))
    try:
        line = refused("look", "a cat", "--model", painter, "--out", tmp_path / "o")
    finally:
        sys.path.remove(str(elsewhere))
    assert said in line
    assert not mark.exists()


def test_a_part_under_the_name_of_its_library_is_not_run(painter, tmp_path, mark):
    (painter / "unet" / "my.py").rename(painter / "unet" / "diffusers.py")
    assert "code that comes with a model is never run" in refused(
        "look", "a cat", "--model", painter, "--out", tmp_path / "o"
    )
    assert not mark.exists()


def test_code_that_generates_is_not_run(tmp_path, small, mark):
    folder = shutil.copytree(small / "openmoji-captioner" / "model", tmp_path / "captioner")
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(HARM.format(mark=str(mark)))
    assert len(captions([Image.new("RGB", (64, 64))], model=folder)) == 1
    assert not mark.exists()


def test_attention_from_elsewhere_is_not_fetched(eyes):
    change(eyes / "config.json", _attn_implementation="someone/kernel")
    with pytest.raises(DataError, match="'someone/kernel', which is code from elsewhere"):
        load(eyes)


class Harm:
    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return open, (self.mark, "w")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt", "model.pth"])
def test_pickled_weights_are_refused_with_the_cure(eyes, tmp_path, mark, name):
    (eyes / "model.safetensors").unlink()
    torch.save({"a": Harm(mark)}, eyes / name)
    Image.new("RGB", (24, 24)).save(tmp_path / "a.png")
    line = refused("look", "--image", tmp_path / "a.png", "--model", eyes)
    assert f"{name}, a pickle, which can run code when it is opened" in line
    assert "Give them as .safetensors" in line
    assert not mark.exists()


def test_pickled_weights_of_a_part_are_refused(painter, tmp_path, mark):
    (painter / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"a": Harm(mark)}, painter / "vae" / "diffusion_pytorch_model.bin")
    assert "a pickle" in refused("look", "a cat", "--model", painter)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"a": "shard.bin"}, "names 'shard.bin', which is no file of safetensors beside it"),
        ({"a": "../model.safetensors"}, "names '../model.safetensors'"),
        ({"a": "/model.safetensors"}, "names '/model.safetensors'"),
        ({"a": "m-1-of-2.safetensors"}, "lacks its part m-1-of-2.safetensors"),
        ({"a": 3}, "has no weight_map of names"),
        (["a"], "has no weight_map of names"),
    ],
)
def test_an_index_that_names_other_files_is_refused(eyes, mark, names, said):
    (eyes / "model.safetensors").unlink()
    torch.save({"a": Harm(mark)}, eyes / "shard.bin")
    (eyes / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(DataError) as refusal:
        load(eyes)
    assert said in str(refusal.value)
    assert not mark.exists()


def test_a_pickle_under_the_name_of_safetensors_is_refused(eyes, mark):
    torch.save({"a": Harm(mark)}, eyes / "model.safetensors")
    with pytest.raises(DataError, match="no whole file of safetensors"):
        load(eyes)
    assert not mark.exists()


def test_weights_of_another_precision_only_are_told_how_to_ask_for_them(eyes):
    (eyes / "model.safetensors").rename(eyes / "model.fp16.safetensors")
    with pytest.raises(
        DataError, match=r"in the variant 'fp16' alone. Ask for it: load\(\.\.\., v"
    ):
        load(eyes)


def test_an_adapter_is_no_model(eyes):
    (eyes / "adapter_config.json").write_text('{"base_model_name_or_path": "/other"}')
    with pytest.raises(DataError, match="is an adapter of another model. Merge it"):
        load(eyes)


@pytest.mark.parametrize(
    ("file", "settings", "said"),
    [
        ("config.json", {"num_hidden_layers": 10**6}, "num_hidden_layers is 1000000, and its wei"),
        ("config.json", {"num_hidden_layers": -1}, "num_hidden_layers is -1"),
        ("config.json", {"hidden_size": 10**9}, "hidden_size is 1000000000, and no tensor"),
        ("config.json", {"intermediate_size": 10**9}, "intermediate_size is 1000000000"),
        ("config.json", {"num_channels": 10**9}, "num_channels is 1000000000"),
        ("config.json", {"image_size": 10**6}, "image_size is 1000000, and must lie in 1..16384"),
        ("config.json", {"image_size": [24, 0]}, "image_size is [24, 0], and must lie in"),
        ("config.json", {"patch_size": 0}, "patch_size is 0, and must lie in 1..16384"),
        ("config.json", {"patch_size": "8"}, "patch_size is 8, and must lie in 1..16384"),
        ("config.json", {"hidden_size": float("nan")}, "holds NaN, which is no setting"),
        ("config.json", {"num_attention_heads": 3}, "could not be opened"),
        ("config.json", {"hidden_size": "wide"}, "could not be opened"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_quickly(eyes, file, settings, said):
    change(eyes / file, **settings)
    started = time.monotonic()
    with pytest.raises(DataError) as refusal:
        load(eyes)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("size", [100_000, "big", -1, 0, 1.5, True, [8, -8], [8, "8"]])
def test_the_size_of_a_unet_is_whole_and_sane(painter, size):
    change(painter / "unet" / "config.json", sample_size=size)
    with pytest.raises(DataError, match=r"sample_size is .*, and must lie in 1\.\.16384"):
        load(painter)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 200_000, "has more than 100 levels"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "has more than 100 levels"),
        (b"[]", "is JSON of the type list; it must be an object"),
        (b"3", "is JSON of the type int"),
        (b"null", "is JSON of the type NoneType"),
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
        (b"", "is no JSON"),
        (b" " * (5 * 2**20), "has 5 MB and may have 4"),
    ],
)
@pytest.mark.parametrize("file", ["config.json", "model_index.json"])
def test_a_configuration_that_is_none_is_refused(tmp_path, file, content, said):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError) as refusal:
        load(tmp_path)
    assert said in str(refusal.value)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_pipe_in_a_folder_does_not_hang(eyes, file):
    import os

    (eyes / file).unlink()
    os.mkfifo(eyes / file)
    with pytest.raises(DataError):
        load(eyes)
