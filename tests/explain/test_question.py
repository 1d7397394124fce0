import pytest
import torch
from torch import nn

from explained import NOTHING, classifier, pictures, total
from regard.errors import ArgumentError, NothingObserved
from regard.explain.question import asked, logits_of, predictions


def test_without_a_target_the_predicted_classes_are_asked_about():
    model, pixels = classifier(), pictures(3)
    with torch.no_grad():
        logits = model(pixel_values=pixels).logits
    question = asked("who", model, pixels, None, None)
    assert torch.equal(question.target, logits.argmax(-1))
    assert torch.equal(predictions(model, pixels), logits.argmax(-1))
    torch.testing.assert_close(question.answers(pixels), logits.amax(-1))
    shares = question.answers(pixels, probability=True)
    torch.testing.assert_close(shares, logits.softmax(-1).amax(-1))


def test_variants_are_asked_about_the_class_of_their_image():
    model, pixels = classifier(), pictures(2)
    question = asked("who", model, pixels, torch.tensor([1, 2]), None)
    variants = question.answers(pixels[[1, 0, 1]], torch.tensor([1, 0, 1]))
    torch.testing.assert_close(variants, question.answers(pixels)[[1, 0, 1]])


def test_many_images_are_asked_some_at_a_time():
    sizes = []

    def score(pixels):
        sizes.append(len(pixels))
        return total(pixels)

    pixels = torch.rand(150, 1, 2, 2)
    question = asked("who", NOTHING, pixels, None, score)
    torch.testing.assert_close(question.answers(pixels), total(pixels))
    assert sizes == [64, 64, 22]


def test_the_grid_is_that_of_the_attention_or_the_one_given():
    question = asked("who", classifier(), pictures(1, 24, 16), None, None)
    assert question.grid() == (3, 2)
    assert question.grid((6, 4)) == (6, 4)
    with pytest.raises(ArgumentError, match=r"the grid is 25 x 4 and must have 1 to 24 rows"):
        question.grid((25, 4))


def test_a_model_without_attention_needs_a_grid():
    network = nn.Conv2d(3, 1, 24).eval()
    question = asked("who", network, pictures(1), None, lambda pixels: network(pixels)[:, 0, 0, 0])
    with pytest.raises(NothingObserved):
        question.grid()


@pytest.mark.parametrize(
    ("pixels", "target", "score", "message"),
    [
        (torch.zeros(3, 24, 24), None, None, r"pixels are \(3, 24, 24\) of torch.float32"),
        (torch.zeros(0, 3, 24, 24), None, None, "at least one"),
        (torch.zeros(1, 3, 24, 24, dtype=torch.uint8), None, None, "of floats"),
        (torch.full((1, 3, 24, 24), torch.nan), None, None, "NaN or infinity"),
        (torch.zeros(1, 3, 24, 24), torch.tensor([0, 1]), None, "for each of the 1 images"),
        (torch.zeros(1, 3, 24, 24), torch.tensor([0.5]), None, "must be the number of a class"),
        (torch.zeros(1, 3, 24, 24), torch.tensor([4]), None, r"classes 0\.\.3, not 4"),
        (torch.zeros(1, 3, 24, 24), torch.tensor([1]), total, "both target and score"),
    ],
)
def test_bad_input_is_told_before_anything_is_explained(pixels, target, score, message):
    with pytest.raises(ArgumentError, match=message):
        asked("who", classifier(), pixels, target, score)


def test_a_module_that_is_no_classifier_needs_a_score():
    with pytest.raises(ArgumentError, match="Identity takes no pixel_values"):
        asked("who", NOTHING, pictures(), None, None)


def test_a_model_in_training_mode_is_refused():
    with pytest.raises(ArgumentError, match=r"is in training mode.*Call model.eval\(\) first"):
        asked("who", nn.Identity().train(), pictures(), None, total)


def test_a_score_must_be_one_number_an_image():
    question = asked("who", NOTHING, pictures(), None, lambda pixels: pixels.sum())
    with pytest.raises(ArgumentError, match=r"score returned \(\) for 2 images"):
        question.answers(pictures())


def test_logits_off_the_training_grid_are_the_librarys_own():
    model, pixels = classifier(), pictures(1, 32, 24)
    with torch.no_grad():
        expected = model(pixel_values=pixels, interpolate_pos_encoding=True).logits
        assert torch.equal(logits_of(model, pixels), expected)
