"""What must hold for every explanation in the tables."""

import inspect

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from explained import classifier, pictures
from looks import PROMPT, pipeline
from regard.cli import app
from regard.errors import ArgumentError
from regard.explain import explain_prompt, explanations, word_explanations
from visions import picture, vision_folder

TARGET = torch.tensor([1, 3])


@pytest.fixture(params=explanations)
def explain(request):
    return explanations.get(request.param)


def test_its_signature_is_the_common_one(explain):
    parameters = inspect.signature(explain).parameters
    assert list(parameters)[:4] == ["model", "pixels", "target", "score"]
    assert parameters["target"].default is parameters["score"].default is None
    later = list(parameters.values())[3:]
    assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in later)
    assert all(each.default is not inspect.Parameter.empty for each in later)


def test_it_says_what_it_takes_returns_and_where_it_comes_from(explain):
    text = inspect.getdoc(explain)
    for section in ("Args:", "Returns:", "Raises:", "Example:", "Source:", ">>>"):
        assert section in text, section


@pytest.mark.parametrize("size", [(24, 24), (24, 16)])
def test_it_gives_a_finite_map_for_each_image_on_the_patches(explain, size):
    found = explain(classifier(), pictures(2, *size), TARGET)
    assert found.dims == ("sample", "y", "x")
    assert found.shape == (2, size[0] // 8, size[1] // 8)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()


def test_it_says_how_it_was_made(explain):
    found = explain(classifier(), pictures(), TARGET)
    assert found.attrs["method"] == found.name == explain.__name__
    assert found.attrs["units"]
    assert isinstance(found.attrs["class_agnostic"], bool)
    given = set(inspect.signature(explain).parameters) - {"model", "pixels", "target", "score"}
    assert set(found.attrs["options"]) == given


def test_a_batch_of_two_is_two_batches_of_one(explain):
    pixels = pictures()
    both = explain(classifier(), pixels, TARGET)
    for row in (0, 1):
        one = slice(row, row + 1)
        alone = explain(classifier(), pixels[one], TARGET[one])
        np.testing.assert_allclose(both[one], alone, atol=1e-5)


def test_it_gives_the_same_each_time(explain):
    first = explain(classifier(), pictures(), TARGET)
    np.testing.assert_array_equal(first, explain(classifier(), pictures(), TARGET))


def test_without_a_target_it_explains_what_the_model_predicts(explain):
    model, pixels = classifier(), pictures()
    with torch.no_grad():
        said = model(pixel_values=pixels).logits.argmax(-1)
    np.testing.assert_array_equal(explain(model, pixels), explain(model, pixels, said))


def test_the_class_changes_the_map_unless_it_says_not(explain):
    first, second = (explain(classifier(), pictures(), at) for at in (TARGET, (TARGET + 1) % 4))
    assert np.array_equal(first, second) == first.attrs["class_agnostic"]


def test_a_score_of_the_same_class_gives_the_same_map(explain):
    model, pixels = classifier(), pictures()

    def score(pixels):
        return model(pixel_values=pixels).logits[:, 2]

    by_score = explain(model, pixels, score=score)
    np.testing.assert_allclose(by_score, explain(model, pixels, torch.tensor([2, 2])), atol=1e-6)


def test_the_model_and_the_images_are_as_before(explain):
    def state():
        hooks = [(len(m._forward_pre_hooks), len(m._forward_hooks)) for m in model.modules()]
        weights = [(p.requires_grad, p.grad, p.detach().clone()) for p in model.parameters()]
        return hooks, weights

    model, pixels = classifier(), pictures()
    (hooks, weights), image = state(), pixels.clone()
    explain(model, pixels, TARGET)
    after = state()
    assert after[0] == hooks
    for (asked, gradient, value), (asked2, gradient2, value2) in zip(
        weights, after[1], strict=True
    ):
        assert (asked, gradient) == (asked2, gradient2) == (asked, None)
        assert torch.equal(value, value2)
    assert torch.equal(pixels, image)
    assert not pixels.requires_grad


def test_under_no_grad_it_works_too(explain):
    with torch.no_grad():
        found = explain(classifier(), pictures(), TARGET)
    np.testing.assert_array_equal(found, explain(classifier(), pictures(), TARGET))


def test_bad_input_is_told_by_its_name(explain):
    with pytest.raises(ArgumentError, match=f"^{explain.__name__}: pixels are"):
        explain(classifier(), pictures()[0])
    with pytest.raises(ArgumentError, match=f"^{explain.__name__}: the model has classes"):
        explain(classifier(), pictures(), torch.tensor([0, 9]))


# ---------------------------------------------------------------- of the words of a prompt

FEW = {"num_inference_steps": 1}


@pytest.fixture(params=word_explanations)
def of_words(request):
    return word_explanations.get(request.param)


def test_of_words_its_signature_is_the_common_one(of_words):
    parameters = inspect.signature(of_words).parameters
    assert list(parameters)[:3] == ["model", "prompt", "words"]
    assert list(parameters)[-1] == "sampling"
    for section in ("Args:", "Returns:", "Raises:", "Example:", "Source:", ">>>"):
        assert section in inspect.getdoc(of_words), section


def test_of_words_it_gives_finite_maps_with_a_unit_and_the_word_of_each(of_words):
    found = of_words(pipeline(), PROMPT, words=["cat", "turtle"], **FEW)
    assert {"y", "x"} < set(found.dims)
    assert set(found["word"].values) == {"cat", "turtle"}
    assert np.isfinite(found).all()
    assert found.attrs["units"]
    again = of_words(pipeline(), PROMPT, words=["cat", "turtle"], **FEW)
    np.testing.assert_array_equal(found, again)


def test_of_words_by_its_name_it_is_a_map_for_each_word(of_words):
    kept = explain_prompt(pipeline(), PROMPT, of_words.__name__, words=["cat"], **FEW)
    whole = of_words(pipeline(), PROMPT, words=["cat"], **FEW)
    summed = whole.mean(set(whole.dims) & {"step"}).sum(set(whole.dims) & {"token", "word"})
    assert list(kept.maps) == ["cat"]
    np.testing.assert_allclose(kept.maps["cat"], summed, atol=1e-6)
    assert kept.recipe["units"] == whole.attrs["units"]


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def classifier_folder(tmp_path_factory):
    return vision_folder(tmp_path_factory.mktemp("models"))


def written(out, *words):
    done = CliRunner().invoke(app, ["explain", *map(str, words), "--out", str(out)])
    assert done.exit_code == 0, done.output
    return len(list((out / "maps").iterdir()))


@pytest.mark.parametrize("name", explanations)
def test_the_command_line_takes_it_by_its_name(name, classifier_folder, tmp_path):
    picture().save(tmp_path / "image.png")
    asked = (tmp_path / "image.png", "--model", classifier_folder, "--method", name)
    assert written(tmp_path / "out", *asked) == 1


@pytest.mark.parametrize("name", word_explanations)
def test_the_command_line_takes_it_for_a_prompt(name, model, tmp_path):
    asked = ("--prompt", PROMPT, "--model", model, "--method", name, "--words", "cat,turtle")
    assert written(tmp_path / "out", *asked, "--num-inference-steps", 1) == 2
