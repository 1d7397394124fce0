"""Vision transformers of no listed class: those that lay out patches row by row are looked at."""

import numpy as np
import pytest
import torch
import transformers

from regard.errors import ArgumentError
from regard.look import look_at
from regard.tap import Tap, layout_for
from regard.tap.family import family_of, forget_layout
from regard.tap.model import known_family
from regard.tap.proven import why_unknown

SIZES = {
    "image_size": 24,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
PROCESSOR = {
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "size": {"height": 24, "width": 24},
}
# The class, its config where that is not told by the name, and the tokens before the patches.
PROVEN = [
    ("DeiTForImageClassificationWithTeacher", "DeiTConfig", ["cls", "distillation"]),
    ("BeitModel", "BeitConfig", ["cls"]),
    ("BeitForImageClassification", "BeitConfig", ["cls"]),
    ("Data2VecVisionModel", "Data2VecVisionConfig", ["cls"]),
    ("ViTMSNModel", "ViTMSNConfig", ["cls"]),
    ("IJepaModel", "IJepaConfig", []),
    ("BlipVisionModel", "BlipVisionConfig", ["cls"]),
    ("MetaClip2VisionModel", "MetaClip2VisionConfig", ["cls"]),
    ("Aimv2VisionModel", "Aimv2VisionConfig", []),
    ("Dinov2Backbone", "Dinov2Config", ["cls"]),
    ("DINOv3ViTBackbone", "DINOv3ViTConfig", ["cls"]),
]
REFUSED = [
    (
        "ViTMAEModel",
        "ViTMAEConfig",
        {},
        "of 3 x 3 patches and 1 tokens before them it attends to 3",
    ),
    ("ViTMAEModel", "ViTMAEConfig", {"mask_ratio": 0.0}, "the same image gives other tokens each"),
    ("YolosModel", "YolosConfig", {"image_size": [24, 24]}, "it attends to 110"),
    ("VitDetModel", "VitDetConfig", {}, "is not given tokens of each image"),
    ("SamVisionModel", "SamVisionConfig", {}, "is not given tokens of each image"),
]


def made(name, config, **settings):
    torch.manual_seed(0)
    sizes = {**SIZES, **settings}
    return getattr(transformers, name)(getattr(transformers, config)(**sizes)).eval()


def image():
    return np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)


@pytest.mark.parametrize(("name", "config", "before"), PROVEN)
def test_what_lays_out_patches_row_by_row_is_looked_at(name, config, before):
    model = made(name, config)
    assert family_of(model) is None
    seen = look_at(model, image(), processor=PROCESSOR)
    assert [query for query in seen.trace.queries if query != "probe"] == [*before, "mean"]
    assert seen.trace.recipe["parity_error"] < 1e-5
    weights = next(iter(seen.trace.layers.values()))
    assert tuple(weights.attrs["grid"]) == (3, 3)
    np.testing.assert_allclose(weights.sum("key").values, 1, atol=1e-5)


@pytest.mark.parametrize(("name", "config", "settings", "why"), REFUSED)
def test_any_other_order_of_patches_is_refused(name, config, settings, why):
    with pytest.raises(ArgumentError, match=f"no token layout is known for {name}: .*{why}"):
        look_at(made(name, config, **settings), image(), processor=PROCESSOR)


def test_one_that_names_classes_says_which():
    seen = look_at(made("BeitForImageClassification", "BeitConfig"), image(), processor=PROCESSOR)
    assert len(seen.trace.recipe["prediction"]) == 2


def test_one_that_needs_more_than_pixels_is_refused():
    model = made("Siglip2VisionModel", "Siglip2VisionConfig")
    with pytest.raises(ArgumentError, match="Siglip2VisionModel takes no images in patches"):
        look_at(model, image(), processor=PROCESSOR)


def test_trying_leaves_no_trace_in_the_model_or_the_world():
    model, state = made("IJepaModel", "IJepaConfig"), torch.get_rng_state()
    assert known_family(model) is not None
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_pre_hooks for module in model.modules())


class Transposed(transformers.IJepaModel):
    """Patches column by column: as many as row by row, and each in another place."""

    def __init__(self, config):
        super().__init__(config)
        self.embeddings.patch_embeddings.register_forward_hook(
            lambda module, args, out: out.unflatten(1, (3, 3)).transpose(1, 2).flatten(1, 2)
        )


def test_patches_column_by_column_are_refused():
    model = Transposed(transformers.IJepaConfig(**SIZES)).eval()
    with pytest.raises(ArgumentError, match="Transposed: a change of one patch does not change"):
        look_at(model, image(), processor=PROCESSOR)


@pytest.mark.parametrize("sizes", [{"image_size": 4}, {"patch_size": None}, {"image_size": "big"}])
def test_sizes_that_mean_nothing_are_told_when_tokens_are_asked_for(sizes):
    model = made("IJepaModel", "IJepaConfig")
    for name, value in sizes.items():
        vars(model.config)[name] = value
    assert known_family(model) is None
    assert why_unknown(model).startswith("it could not be tried on pixels alone")


def test_one_that_was_tried_in_training_is_tried_again():
    model = made("IJepaModel", "IJepaConfig", hidden_dropout_prob=0.5).train()
    assert known_family(model) is None
    assert why_unknown(model) == "the same image gives other tokens each time"
    assert known_family(model.eval()) is not None
    assert why_unknown(model) == ""


def test_a_layout_of_ones_own_goes_first():
    model = made("IJepaModel", "IJepaConfig")
    assert known_family(model) is not None

    @layout_for("IJepaModel")
    def layout(model, inputs, shape):
        raise ArgumentError("mine")

    try:
        with pytest.raises(ArgumentError, match="mine"), Tap(model):
            model(pixel_values=torch.zeros(1, 3, 24, 24))
    finally:
        forget_layout("IJepaModel")
