import numpy as np
import pytest
import torch
from torch import nn

from regard.data import FashionMNIST
from regard.experiments import evaluate
from regard.experiments.evaluations import clothes as evaluation
from regard.models import library_model, load
from regard.zoo.classifier import MEAN, STD, of_step, some_patches, to_pixels, varied
from small_recipes import clothes


def test_every_epoch_has_each_picture_once_in_an_order_of_its_own():
    epochs = [
        np.concatenate([of_step(5 * epoch + i, 4, 20, seed=0) for i in range(5)])
        for epoch in range(3)
    ]
    assert all(sorted(each.tolist()) == list(range(20)) for each in epochs)
    assert len({tuple(each) for each in epochs}) == 3


def test_a_step_may_end_in_the_next_epoch():
    # Seven pictures, three a step: the third step has the last one of epoch 0 and two of epoch 1.
    whole = np.concatenate([of_step(i, 3, 7, seed=1) for i in range(5)])
    assert sorted(whole[:7].tolist()) == sorted(whole[7:14].tolist()) == list(range(7))


def test_a_picture_is_moved_by_whole_pixels_black_coming_in():
    image = np.arange(1, 10, dtype=np.uint8).reshape(3, 3)
    seen = set()
    for seed in range(200):
        moved = varied(image, np.random.default_rng(seed), reach=1)
        assert moved.shape == (3, 3)
        unmirrored = [each for each in (moved, moved[:, ::-1]) if _moved(image, each)]
        assert unmirrored
        seen.add(moved.tobytes())
    assert len(seen) == 9 * 2  # three places each way, mirrored or not


def _moved(image, moved):
    padded = np.pad(image, 1)
    return any(
        np.array_equal(padded[y : y + 3, x : x + 3], moved) for y in range(3) for x in range(3)
    )


def test_pixels_by_hand():
    pixels = to_pixels(np.array([[[0, 255]]], np.uint8))
    assert pixels.shape == (1, 1, 1, 2)
    np.testing.assert_allclose(pixels.flatten(), [-MEAN / STD, (1 - MEAN) / STD], rtol=1e-6)


class Tokens(nn.Module):
    """CLS is 0, the patches are numbered from 1; every sample has the same."""

    def forward(self, samples):
        return torch.arange(9.0).view(1, 9, 1).expand(samples, -1, 2)


def test_some_patches_are_different_ones_of_each_picture_and_cls_stays():
    torch.manual_seed(0)
    tokens = Tokens()
    with some_patches(tokens, 0.5):
        kept = tokens(6)
    assert kept.shape == (6, 5, 2)
    assert (kept[:, 0] == 0).all()
    patches = [sorted(row[1:, 0].tolist()) for row in kept]
    assert all(len(set(each)) == 4 and min(each) >= 1 for each in patches)
    assert len(set(map(tuple, patches))) > 1


@pytest.mark.parametrize("part", [0.5, 1.0])
def test_all_patches_are_there_again_after_the_block_even_when_it_raises(part):
    tokens = Tokens()
    with pytest.raises(RuntimeError, match="boom"), some_patches(tokens, part):
        raise RuntimeError("boom")
    assert tokens(2).shape == (2, 9, 2)


def test_the_classes_are_named_in_the_network_and_its_processor_is_beside_it(small):
    from transformers import ViTImageProcessorPil

    folder = small / "fashion-vit" / "model"
    assert load("fashion-vit").labels[9] == "Ankle boot"
    processor = ViTImageProcessorPil.from_pretrained(folder)
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
    theirs = processor(image, input_data_format="channels_last", return_tensors="pt").pixel_values
    np.testing.assert_allclose(theirs, to_pixels(image[None, :, :, 0]), atol=1e-5)


def test_the_figures_count_right_names_in_all_and_by_class(small, monkeypatch):
    labels = np.arange(20) % 10
    seen = FashionMNIST(clothes(20).images, labels)
    monkeypatch.setattr(evaluation, "unseen_clothes", lambda: seen)
    said = np.where(labels < 5, labels, 9)  # all of 0..4 and of 9 right: 12 of 20
    monkeypatch.setattr(evaluation, "predictions", lambda images, name: said[: len(images)])
    found = evaluate("fashion-vit").figures
    assert (found["test_accuracy"], found["images"]) == (0.6, 20.0)
    assert (found["accuracy_coat"], found["accuracy_sandal"], found["accuracy_ankle_boot"]) == (
        1,
        0,
        1,
    )


def test_predictions_are_the_classes_of_the_greatest_logits(small, monkeypatch):
    images = clothes(7).images
    with torch.no_grad():
        logits = library_model("fashion-vit")(pixel_values=to_pixels(images)).logits
    found = evaluation.predictions(images, batch=3)
    assert found.tolist() == logits.argmax(1).tolist()
