"""What a pipeline makes that shows nothing is said, written down and never compared."""

import copy
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from looks import PROMPT, pipeline
from regard.errors import ArgumentError, DataError
from regard.generation.outcome import BLACKENED, NO_NUMBERS, ONE_COLOUR, refuse_void, voids
from regard.look import look, verify
from regard.methods import drop
from regard.steering import steer


def blackened():
    pipe = copy.copy(pipeline())
    pipe.run_safety_checker = lambda image, device, dtype: (
        torch.zeros_like(image),
        [True] * len(image),
    )
    return pipe


def without_numbers(value):
    pipe = copy.deepcopy(pipeline())
    with torch.no_grad():
        pipe.vae.decoder.conv_out.bias.fill_(value)
    return pipe


VOID = {
    BLACKENED: blackened,
    NO_NUMBERS: lambda: without_numbers(float("nan")),
    ONE_COLOUR: lambda: without_numbers(float("inf")),
}


@pytest.mark.parametrize("why", VOID)
def test_an_image_that_shows_nothing_is_said_in_the_recipe_and_without_a_warning(why):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = look(VOID[why](), PROMPT, num_inference_steps=1)
    assert seen.trace.recipe["void"] == why
    assert look(pipeline(), PROMPT, num_inference_steps=1).trace.recipe["void"] == ""


@pytest.mark.parametrize("why", VOID)
def test_nothing_is_verified_or_steered_on_it(why):
    pipe = VOID[why]()
    with pytest.raises(ArgumentError, match=f"verify: an image shows nothing: {why}"):
        verify(pipe, look(pipe, PROMPT, num_inference_steps=1))
    with pytest.raises(ArgumentError, match=f"steer: an image shows nothing: {why}"):
        steer(pipe, PROMPT, [drop("cat")], num_inference_steps=1)


def test_what_shows_nothing_by_hand():
    grey = Image.new("RGB", (2, 2), "grey")
    some = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    flags = type("Output", (), {"nsfw_content_detected": [False, True]})()
    assert voids([some, some], flags, []) == ("", BLACKENED)
    assert voids([some, grey], None, ["invalid value"]) == ("", NO_NUMBERS)
    assert voids([some, some], None, ["invalid value"]) == (NO_NUMBERS, NO_NUMBERS)
    assert voids([some, grey], None, []) == ("", ONE_COLOUR)
    refuse_void(["", ONE_COLOUR], even=False)
    with pytest.raises(ArgumentError, match="regard: an image shows nothing: its safety"):
        refuse_void(["", BLACKENED], even=False)


def test_a_setting_of_a_scheduler_that_it_refuses_is_one_line():
    pipe = copy.copy(pipeline())
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, prediction_type="zzz")
    with pytest.raises(
        DataError, match="could not generate an image: prediction_type given as zzz"
    ):
        look(pipe, PROMPT, num_inference_steps=1)


def test_parts_that_do_not_fit_are_one_line():
    pipe = copy.copy(pipeline())
    pipe.unet = copy.deepcopy(pipe.unet)
    pipe.unet.conv_in = torch.nn.Conv2d(3, 8, 3, padding=1)
    with pytest.raises(DataError, match=r"could not generate an image: .*channels") as refused:
        look(pipe, PROMPT, num_inference_steps=1)
    assert "\n" not in str(refused.value)


def test_a_unet_without_a_size_asks_for_it():
    pipe = copy.copy(pipeline())
    pipe.unet = copy.deepcopy(pipe.unet)
    pipe.unet.register_to_config(sample_size=None)
    with pytest.raises(ArgumentError, match="no sample_size.* Give height= and width=, or --h"):
        look(pipe, PROMPT, num_inference_steps=1)
    assert look(pipe, PROMPT, num_inference_steps=1, height=16, width=16).image.size == (16, 16)


def test_what_a_callback_raises_passes_as_it_is():
    def stop(done, steps):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        look(pipeline(), PROMPT, num_inference_steps=1, progress=stop)
