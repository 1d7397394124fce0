from dataclasses import replace

import pytest

from looks import pipeline
from regard.errors import ArgumentError
from regard.look import look
from regard.models import TextToImage, add_family, families, forget_family


@pytest.fixture
def unknown(monkeypatch):
    """A UNet whose family nobody knows, and the record that would do."""
    known = families.FAMILIES["UNet2DConditionModel"]
    monkeypatch.delitem(families.FAMILIES, "UNet2DConditionModel")
    yield known
    forget_family("UNet2DConditionModel")


def test_an_unknown_family_is_refused_with_what_registers_it(unknown):
    with pytest.raises(ArgumentError, match=r"not known\. .* with regard\.models\.add_family"):
        TextToImage.of(pipeline())


def test_a_registered_family_is_looked_at_as_a_known_one(unknown):
    add_family("UNet2DConditionModel", replace(unknown, name="mine", unit=lambda pipeline: 16))
    model = TextToImage.of(pipeline())
    assert model.family.name == "mine"
    assert look(model, "a cat", num_inference_steps=1).trace.word_names == ("a", "cat")
    with pytest.raises(ArgumentError, match="16"):
        look(model, "a cat", height=24, width=24)


def test_a_family_is_registered_once(unknown):
    add_family("UNet2DConditionModel", unknown)
    with pytest.raises(ArgumentError, match="'UNet2DConditionModel' has a family already"):
        add_family("UNet2DConditionModel", unknown)
    with pytest.raises(ArgumentError, match="'FluxTransformer2DModel' has a family already"):
        add_family("FluxTransformer2DModel", unknown)
