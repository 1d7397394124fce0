from dataclasses import replace

import numpy as np
import pytest
import torch

import fashion
from regard.data.fashion_mnist import NAMES
from regard.errors import ArgumentError
from regard.experiments.studies.budget import FULL, QUICK, Budget
from regard.experiments.studies.setting import balanced, opened, shape_of
from visions import tiny_vision


def setting(vision=None, data=None, budget=fashion.TINY, report=lambda *told: None):
    made = opened(vision or fashion.vision(), data or fashion.clothes(), budget)
    made.meter.progress = report
    return made


def test_every_beginning_of_the_order_has_as_many_of_each_class():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 7))
    order = balanced(labels, seed=3)
    assert sorted(order) == list(range(70))
    for number in (10, 20, 50):
        assert np.bincount(labels[order[:number]]).tolist() == [number // 10] * 10
    assert balanced(labels, seed=4).tolist() != order.tolist()


def test_the_shape_is_what_the_configuration_says():
    shape = setting().shape
    assert (len(shape.layers), shape.heads, shape.grid, shape.prefix) == (3, 2, (4, 4), 1)
    assert shape.readout == "cls"
    assert shape.parity < 1e-5


def test_a_model_without_a_class_token_is_read_by_the_mean():
    model = fashion.network(
        "Siglip", vision_config=_vision_config(), id2label=dict(enumerate(NAMES))
    )
    ready = replace(fashion.vision(), model=model)
    assert shape_of(ready, ready.pixels(fashion.clothes(1).images)).readout == "mean"


def _vision_config():
    known = ("image_size", "patch_size", "num_channels", "hidden_size", "intermediate_size",
             "num_hidden_layers", "num_attention_heads")  # fmt: skip
    return {name: fashion.CLASSIFIER[name] for name in known}


def test_classes_in_another_order_are_put_right():
    turned = fashion.vision(labels=NAMES[::-1])
    pixels = turned.pixels(fashion.clothes(3).images)
    with torch.no_grad():
        torch.testing.assert_close(
            setting(turned).logits(pixels), setting().logits(pixels).flip(-1)
        )


def test_a_model_of_other_classes_is_refused_by_name():
    other = fashion.vision(labels=("cat", "dog", "bird"))
    message = r"vit: tiny names 3 classes \(cat, dog, bird \.\.\.\), and the images have 10"
    with pytest.raises(ArgumentError, match=message):
        setting(other)
    with pytest.raises(ArgumentError, match=r"names 0 classes \(none \.\.\.\)"):
        setting(fashion.vision(labels=()))


def test_a_model_that_takes_no_pictures_is_refused():
    with pytest.raises(ArgumentError, match="takes no images in patches"):
        setting(torch.nn.Linear(2, 2))


def test_an_encoder_is_refused():
    with pytest.raises(ArgumentError, match="ViTModel names 0 classes"):
        setting(tiny_vision("ViTModel"))


def test_batches_are_smaller_where_all_attention_is_held_and_on_larger_grids():
    made = setting(budget=Budget(batch=64))
    numbers = np.arange(40)

    def sizes(**how):
        return [len(part) for part, _ in made.batches(numbers, **how)]

    assert sizes() == [40]  # 16 patches: no more than the plan says, whatever would fit
    assert sizes(size=(280, 280)) == [7, 7, 7, 7, 7, 5]  # 1600 patches: 64 * 196 / 1600
    assert sizes(size=(280, 280), dense=True) == [1] * 40


def test_progress_counts_pictures_and_never_passes_the_end():
    told = []
    made = setting(budget=replace(fashion.TINY, ablated=1), report=lambda *each: told.append(each))
    made.meter.begin("naming")
    for _ in made.batches(np.arange(40)):
        pass
    assert told[0] == ("naming", 0, made.meter.total)
    assert told[-1][1] == 40
    made.meter.add(10**6)
    assert told[-1][1] == told[-1][2] == made.meter.total


def test_quick_takes_about_a_tenth():
    size = {"layers": 12, "heads": 4, "patches": 196}
    share = QUICK.passes(10_000, **size) / FULL.passes(10_000, **size)
    assert 0.05 < share < 0.2
