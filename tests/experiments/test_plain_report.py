import numpy as np
import pytest

from looks import pipeline
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
    return ImagePlan(LOUD, model, cases, [judges["pixels"]()], {"prompts": list(prompts)})


def test_the_summary_has_the_mean_of_each_number_for_each_value():
    found = run(plan())
    summary = found.summary().set_index("factor")
    assert summary["images"].to_dict() == {0.5: 2, 4.0: 2}
    means = found.table.groupby("factor")["distance"].mean()
    np.testing.assert_allclose(summary["distance"], means)
    assert summary["distance_low"].isna().all()  # of two prompts
    assert (means > 0).all()


def test_it_goes_on_and_is_saved_like_any_other(tmp_path):
    def stop(what, done, total):
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan(), store=tmp_path / "s", progress=stop)
    assert len(list((tmp_path / "s" / "cases").iterdir())) == 1
    found = run(plan(), store=tmp_path / "s")
    found.save(tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png") == 2
    assert "&#x27;a dog on grass&#x27;, seed 0: the baseline first." in page
