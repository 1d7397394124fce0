import diffusers
import pytest
import torch

import tiny
from regard.errors import ArgumentError, DataError
from regard.look import look
from regard.models import load
from regard.models.placement import Placement


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A folder whose weights are the variant fp16 alone, but for the autoencoder."""
    folder = tmp_path_factory.mktemp("half") / "model"
    pipeline = tiny.tiny_pipeline()
    pipeline.to(torch.float16).save_pretrained(folder, variant="fp16")
    pipeline.vae.save_pretrained(folder / "vae")
    (folder / "vae" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", torch.bfloat16])
def test_weights_are_those_of_the_variant_as_numbers_of_the_dtype(half, dtype):
    model = load(half, variant="fp16", dtype=dtype, device="cpu")
    expected = diffusers.UNet2DConditionModel.from_pretrained(half / "unet", variant="fp16")
    kind = getattr(torch, str(dtype).removeprefix("torch."))
    for name, weight in model.denoiser.named_parameters():
        assert weight.dtype == kind
        assert not weight.requires_grad
        assert torch.equal(weight, expected.state_dict()[name].to(kind))
    assert look(model, "a cat", num_inference_steps=1).trace.recipe["dtype"] in str(kind)


def test_a_variant_that_alone_is_there_is_named(half):
    with pytest.raises(
        DataError, match=r"in the variant 'fp16' alone. Ask for it: load\(\.\.\., v"
    ):
        load(half)
    with pytest.raises(DataError, match="has no weights of the variant 'bf16', but model.fp16"):
        load(half / "text_encoder", variant="bf16")
    with pytest.raises(DataError, match="no part of .* has weights of the variant 'bf16'"):
        load(half, variant="bf16")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"device": "gpu"}, "device is 'gpu', and this machine has no such device"),
        ({"device": 3.5}, "device is 3.5, and this machine has no such device"),
        ({"device": "meta"}, "device is 'meta', which holds no values"),
        ({"dtype": "int8"}, "dtype is 'int8' and must be 'float32', 'float16' or 'bfloat16'"),
        ({"dtype": torch.int8}, "dtype is torch.int8 and must be"),
        ({"dtype": 16}, "dtype is 16 and must be"),
        ({"variant": 16}, "variant is 16 and must be a word"),
        ({"variant": "../x"}, "variant is '../x' and must be a word"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_cure(wrong, message):
    with pytest.raises(ArgumentError, match="^load: " + message):
        Placement.of(**wrong)


def test_auto_is_a_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Placement.of().device == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Placement.of() == Placement("cpu", torch.float32, None)
