import dataclasses
import json

import pytest
import torch

from regard.errors import ArgumentError, DataError, PromptError, RegardError
from regard.generation import Request
from regard.methods import Where, drop, scale
from unchecked import unchecked

WHOLE = {
    "prompt": "a cat",
    "negative_prompt": "blurred",
    "seed": 3,
    "num_inference_steps": 4,
    "guidance_scale": 2.5,
    "height": 64,
    "width": 128,
}
OTHER = {
    "prompt": "a dog",
    "negative_prompt": "",
    "seed": 4,
    "num_inference_steps": 5,
    "guidance_scale": 2.0,
    "height": 72,
    "width": 64,
    "methods": (drop("cat"),),
    "latents": torch.zeros(1, 4, 8, 16),
}


def test_a_request_survives_json_with_its_methods():
    methods = (drop("cat", where=Where(steps=[0, 2])), scale({"cat": 2.0}))
    request = Request(**WHOLE, methods=methods)
    again = Request.from_json(json.loads(json.dumps(request.to_json())))
    assert again == request
    assert [each.recipe() for each in again.methods] == [each.recipe() for each in methods]
    assert {name: getattr(again, name) for name in WHOLE} == WHOLE


@pytest.mark.parametrize("name", OTHER)
def test_whatever_decides_the_image_makes_another_request(name):
    request = Request(**WHOLE)
    other = dataclasses.replace(request, **{name: OTHER[name]})
    assert other != request
    assert len({request, other, Request(**WHOLE)}) == 2
    assert other.key != request.key


def test_equal_initial_noise_is_equal_and_its_dtype_counts():
    noise = torch.linspace(-1, 1, 512).reshape(1, 4, 8, 16)
    request = Request("a cat", latents=noise)
    assert request == Request("a cat", latents=noise.clone())
    assert request != Request("a cat", latents=noise.double())


def test_a_request_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Request("a cat").seed = 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prompt": 3}, "the prompt is 3 and must be a text"),
        ({"prompt": " "}, "the prompt is empty"),
        ({"negative_prompt": None}, "the negative prompt is None and must be a text"),
        ({"seed": 1.5}, "seed is 1.5 and must be a whole number"),
        ({"seed": -1}, "seed is -1 and must lie in"),
        ({"seed": torch.Generator()}, "Give a seed in place of a generator"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0 and must be 1 or more; 30 is usual"),
        (
            {"num_inference_steps": "4"},
            "num_inference_steps is '4' and must be a whole number of 1",
        ),
        ({"guidance_scale": -1.0}, "guidance_scale is -1.0 and must be 0 or more"),
        ({"guidance_scale": "high"}, "guidance_scale is 'high' and must be a number of 0 or more"),
        ({"height": 0}, "height is 0 and must be 1 or more pixels. Leave it out"),
        ({"width": 64.5}, "width is 64.5 and must be a whole number of 1 or more pixels"),
        ({"methods": drop("cat")}, "methods"),
        ({"methods": ["drop"]}, "methods"),
    ],
)
def test_wrong_values_are_refused_by_name_with_the_cure(wrong, message):
    with pytest.raises((ArgumentError, PromptError), match=message):
        unchecked(Request, **{"prompt": "a cat", **wrong})


@pytest.mark.parametrize(
    ("name", "guess"),
    [("steps", "num_inference_steps"), ("generator", "seed"), ("heigth", "height")],
)
def test_names_that_there_are_not_come_with_the_nearest(name, guess):
    with pytest.raises(ArgumentError, match=f"no argument '{name}'. Did you mean '{guess}'"):
        Request.of("a cat", {name: 3})


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        {"prompt": "a cat", "steps": 3},
        {"prompt": "a cat", "methods": [{}]},
        {"prompt": "a cat", "methods": 3},
        {"prompt": "a cat", "methods": [{"method": "unifrm"}]},
        {"prompt": "a cat", "seed": "3"},
    ],
)
def test_json_that_is_no_request_is_one_line(values):
    with pytest.raises(RegardError) as raised:
        unchecked(Request.from_json, values)
    assert "\n" not in str(raised.value)


def test_initial_noise_of_its_own_is_not_in_json():
    told = Request("a cat", latents=torch.zeros(1, 4, 8, 8)).to_json()
    with pytest.raises(DataError, match="JSON keeps only the checksum"):
        Request.from_json(told)
