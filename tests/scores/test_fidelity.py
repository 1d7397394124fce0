import inspect
import re
import sys

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from encoders import gaussian, lettered, noise_pictures, save_clip
from regard.errors import ArgumentError, DataError, MissingDependency
from regard.measures.about import READS
from regard.models.encoder import Encoder, encoder
from regard.scores.clip import clip_score, image_similarity, text_similarity
from regard.scores.fidelity import fid, kid
from regard.scores.perceptual import perceptual_distance

SCORES = (clip_score, image_similarity, perceptual_distance, text_similarity)
REAL = gaussian(60, 6, 0.0, 0)
MADE = gaussian(50, 6, 0.4, 1)


def sets(real=REAL, made=MADE):
    """Pictures for both, and an encoder that gives them these features."""
    stamps, which = lettered(np.concatenate([real, made]))
    return stamps[: len(real)], stamps[len(real) :], which


def frechet(real, made):
    """The formula of the paper, by SciPy's root of a matrix."""
    means, covariances = zip(*[(x.mean(0), np.cov(x.T)) for x in (real, made)], strict=True)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    return np.sum((means[0] - means[1]) ** 2) + np.trace(sum(covariances) - 2 * root)


def unbiased_mmd(real, made):
    """The formula of the paper, written out."""

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def mean_of_others(x):
        k = kernel(x, x)
        return (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1))

    return mean_of_others(real) + mean_of_others(made) - 2 * kernel(real, made).mean()


class Same(torch.nn.Identity):
    num_features = 6


def test_fid_is_the_formula():
    real, made, which = sets()
    found = fid(real, made, encoder=which)
    assert found.item() == pytest.approx(frechet(REAL, MADE), rel=1e-4)  # features are float32


def test_fid_is_what_torchmetrics_makes_of_the_same_features():
    real, made, which = sets()
    metric = FrechetInceptionDistance(feature=Same())
    for rows, is_real in ((REAL, True), (MADE, False)):
        metric.update(torch.from_numpy(rows).float().double(), real=is_real)
    assert fid(real, made, encoder=which).item() == pytest.approx(metric.compute().item())


def test_fid_is_what_torchmetrics_makes_with_the_network_itself(tmp_path):
    which = encoder(save_clip(tmp_path))
    real, made = noise_pictures(12), noise_pictures(12, seed=1)

    class Network(torch.nn.Module):
        num_features = 8

        def forward(self, places):
            return which.features([(real + made)[place] for place in places])

    metric = FrechetInceptionDistance(feature=Network())
    metric.update(torch.arange(12), real=True)
    metric.update(torch.arange(12, 24), real=False)
    assert fid(real, made, encoder=which, batch=5).item() == pytest.approx(
        metric.compute().item(), rel=1e-3
    )


def test_fid_of_normal_clouds_by_hand():
    # Two points on each axis at distance a from the middle: the covariance is 2 a²/3 times one.
    cross = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    real, made, which = sets(cross, 3.0 * cross + [10.0, 0.0])
    # 10² between the means, and 2 (√(2/3) - √6)² = 16/3 between the spreads.
    assert fid(real, made, encoder=which).item() == pytest.approx(100 + 16 / 3)


def test_kid_of_whole_sets_is_the_formula():
    even = MADE[:50]
    real, made, which = sets(REAL[:50], even)
    found = kid(real, made, encoder=which, subset_size=50, subsets=2)
    assert found.item() == pytest.approx(unbiased_mmd(REAL[:50], even), rel=1e-4)
    assert np.isnan(found.attrs["error"])


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`")  # when called directly
def test_kid_is_what_torchmetrics_makes_of_the_same_features():
    real, made, which = sets()
    metric = KernelInceptionDistance(feature=Same(), subsets=20, subset_size=25)
    for rows, is_real in ((REAL, True), (MADE, False)):
        metric.update(torch.from_numpy(rows).float().double(), real=is_real)
    torch.manual_seed(7)
    mean, spread = metric.compute()
    found = kid(real, made, encoder=which, subsets=20, subset_size=25, seed=7)
    assert found.item() == pytest.approx(mean.item())
    # Of 50 the half: √(25/25) = 1.
    assert found.attrs["error"] == pytest.approx(spread.item())


def test_the_standard_error_of_kid_is_about_how_much_it_varies():
    values, errors = [], []
    for draw in range(12):
        rows = np.random.default_rng(draw).normal(size=(80, 4))
        rows[40:] += 0.7
        real, made, which = sets(rows[:40], rows[40:])
        found = kid(real, made, encoder=which, subsets=40)
        values.append(found.item())
        errors.append(found.attrs["error"])
    # The spread of twelve values is known to a fifth or so.
    assert 0.5 < np.mean(errors) / np.std(values, ddof=1) < 2.0


def test_sets_that_agree_have_no_distance():
    real, _, which = sets()
    assert fid(real, real, encoder=which).item() == pytest.approx(0.0, abs=1e-5)
    other = gaussian(60, 6, 0.0, 0)[::-1]
    real, made, which = sets(REAL[:30], other[:30])
    found = kid(real, made, encoder=which)
    assert abs(found.item()) < 4 * found.attrs["error"]


def test_a_seed_fixes_kid_and_the_users_randomness_is_left_alone():
    real, made, which = sets()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one = kid(real, made, encoder=which, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert kid(real, made, encoder=which, seed=1).identical(one)
    assert kid(real, made, encoder=which, seed=2).item() != one.item()


def test_few_pictures_are_told():
    real, made, which = sets(REAL[:6], MADE[:6])
    assert "covariance has not full rank" in fid(real, made, encoder=which).attrs["warning"]
    real, made, which = sets()
    assert "50 images; with fewer than 10000" in fid(real, made, encoder=which).attrs["warning"]
    found = kid(real, made, encoder=which)
    assert found.attrs["warning"] == "subsets of 25 images; papers take 1000"
    told = {name: found.attrs[name] for name in ("real", "made", "encoder", "subset_size")}
    assert told == {"real": 60, "made": 50, "encoder": "lettered", "subset_size": 25}


def test_pictures_are_encoded_in_batches():
    real, made, which = sets()
    seen = []

    def features(pictures):
        seen.append(len(pictures))
        return which.features(pictures)

    counted = Encoder("counted", features)
    whole = fid(real, made, encoder=which)
    assert fid(real, made, encoder=counted, batch=16).item() == pytest.approx(whole.item())
    assert max(seen) == 16


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda r, m, e: fid(r[:1], m, encoder=e), "fid: got 1 real and 50 made images"),
        (lambda r, m, e: fid(r, [], encoder=e), "and needs at least 2 of each"),
        (lambda r, m, e: kid(r, m[:3], encoder=e), "and needs at least 4 of each"),
        (lambda r, m, e: kid(r, m, encoder=e, subset_size=51), "100 subsets of 51 images cannot"),
        (lambda r, m, e: kid(r, m, encoder=e, subset_size=1), "of 2 to 50 images"),
        (lambda r, m, e: kid(r, m, encoder=e, subsets=1), "1 subsets of 25 images cannot"),
    ],
)
def test_too_few_pictures_are_refused(call, said):
    with pytest.raises(ArgumentError, match=re.escape(said)):
        call(*sets())


def test_features_of_another_width_are_told():
    real, made, _ = sets()
    with pytest.raises(DataError, match="made"):
        fid(real, made, encoder=lambda pictures: np.zeros(len(pictures)))


def test_without_torchmetrics_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    real, made, which = sets()
    with pytest.raises(MissingDependency, match=r"pip install 'regard\[metrics\]'"):
        fid(real, made, encoder=which)


@pytest.mark.parametrize("function", [fid, kid, *SCORES])
def test_a_score_tells_its_unit_range_direction_and_source(function):
    about = function.about
    assert about.reads in READS
    assert all([about.unit, about.range, about.higher, about.source, about.reduce])
    text = inspect.getdoc(function)
    for section in ("Args:", "Returns:", "Raises:", "Example:", "Source:", ">>>"):
        assert section in text, section
