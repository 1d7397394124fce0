import numpy as np
import pytest

from looks import pipeline
from regard.errors import ArgumentError
from regard.experiments import ImageCase, ImagePlan, Variant, plain_kind, run
from regard.generation import Request
from regard.methods import temperature
from regard.models import TextToImage
from regard.scores import judges

LOUD = plain_kind("loudness", "factor")


def plan(prompts=("a cat", "a dog on grass")):
    """An experiment of two factors, as a user would write it."""
    model = TextToImage.of(pipeline())
    factors = (0.5, 4.0)
    variants = (
        Variant("baseline"),
        *(Variant(f"x {each}", (temperature(each),), {"factor": each}) for each in factors),
    )
    cases = [
        ImageCase(model.decide(Request(prompt, num_inference_steps=2)), variants)
        for prompt in prompts
    ]
    return ImagePlan(LOUD, model, cases, [judges["pixels"]()])


def test_the_summary_has_the_mean_of_each_number_for_each_value():
    found = run(plan())
    summary = found.summary().set_index("factor")
    assert summary["images"].to_dict() == {0.5: 2, 4.0: 2}
    means = found.table.groupby("factor")["distance"].mean()
    np.testing.assert_allclose(summary["distance"], means)
    assert summary["distance_low"].isna().all()  # of two prompts
    assert (means > 0).all()


def test_the_recipe_says_what_decides_all_images():
    told = plan().recipe
    assert (told["prompts"], told["seeds"]) == (["a cat", "a dog on grass"], [0])
    assert list(told["variants"]) == ["a cat", "a dog on grass"]
    assert told["variants"]["a cat"]["x 0.5"] == [temperature(0.5).recipe()]
    assert told["weights_sha256"] == TextToImage.of(pipeline()).fingerprint


def test_what_would_give_a_wrong_table_is_refused_before_anything_runs():
    model = TextToImage.of(pipeline())
    request, methods = model.decide(Request("a cat", num_inference_steps=2)), (temperature(0.5),)
    with pytest.raises(ArgumentError, match="the first variant must be the baseline"):
        ImageCase(request, (Variant("half", methods),))
    with pytest.raises(ArgumentError, match="two variants are called 'half'"):
        ImageCase(request, (Variant("b"), Variant("half", methods), Variant("half", methods)))
    half = ImageCase(request, (Variant("b"), Variant("half", methods, {"factro": 0.5})))
    with pytest.raises(ArgumentError, match="'half' has no column 'factor'"):
        ImagePlan(LOUD, model, [half], [])
    with pytest.raises(ArgumentError, match="there are none. Give columns"):
        ImagePlan(LOUD, model, [ImageCase(request, (Variant("b"),))], [])


def test_it_goes_on_and_is_saved_like_any_other(tmp_path):
    def stop(what, done, total):
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan(), store=tmp_path / "s", progress=stop)
    assert len(list((tmp_path / "s" / "cases").iterdir())) == 1
    more = run(plan(("a cat", "a dog on grass", "a bird")), store=tmp_path / "s")
    assert len(more.table) == 6
    found = run(plan(), store=tmp_path / "s")
    found.save(tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png") == 2
    assert "&#x27;a dog on grass&#x27;, seed 0: the baseline first." in page
