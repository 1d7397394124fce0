from dataclasses import replace

import numpy as np
import pytest

from encoders import noise_pictures, save_clip
from regard.data.pictures import Pictures, pictures
from regard.errors import ArgumentError
from regard.experiments.score import remembering, score
from regard.models.encoder import Encoder, encoder
from regard.scores.clip import clip_score, image_similarity
from regard.scores.fidelity import fid, kid
from regard.scores.perceptual import perceptual_distance
from regard.stats.comparison import compare
from regard.stats.means import bootstrap, paired

SAID = {f"{n}.png": (text,) for n, text in enumerate(["a cat", "a cat", "two dogs", "a car"])}


@pytest.fixture(scope="module")
def which(tmp_path_factory):
    return encoder(save_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of four pictures with the same names."""
    found = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp("pictures")
        for n, each in enumerate(noise_pictures(4, seed=seed)):
            each.save(folder / f"{n}.png")
        found.append(pictures(folder))
    return found


def row(found, measure, of):
    (one,) = found.table[(found.table["measure"] == measure) & (found.table["of"] == of)].to_dict(
        "records"
    )
    return one


def test_every_number_is_that_of_its_measure(which, folders):
    images, against = folders
    found = score(images, against=against, said=SAID, encoder=which, scale="2.5", seed=3)
    texts, clusters = ["a cat", "a cat", "two dogs", "a car"], [0, 0, 1, 2]
    ours, theirs = (clip_score(each, texts, model=which, scale="2.5") for each in folders)
    expected = bootstrap(ours, clusters=clusters, seed=3)
    one = row(found, "clip_score", "images")
    assert one["value"] == pytest.approx(expected.mean, abs=1e-6)
    assert np.isnan([one["low"], one["high"]]).all()  # of three prompts
    assert one["warning"] == "3 clusters are too few for an interval, which takes 5"
    assert (one["n"], one["clusters"], one["unit"]) == (4, 3, "2.5 x cosine, at least 0")
    assert row(found, "clip_score", "against")["value"] == pytest.approx(theirs.mean().item())
    difference = paired(theirs, ours, clusters=clusters, seed=3)
    two = row(found, "clip_score", "images - against")
    assert (two["value"], two["p"]) == pytest.approx((difference.interval.mean, difference.p))
    for measure in (image_similarity, perceptual_distance):
        values = measure(images, against, model=which)
        assert row(found, measure.__name__, "pairs")["value"] == pytest.approx(values.mean().item())
        np.testing.assert_allclose(found.images[measure.__name__], values, atol=1e-6)
    assert row(found, "fid", "sets")["value"] == pytest.approx(
        fid(against, images, encoder=which).item(), rel=1e-5
    )
    three, expected = row(found, "kid", "sets"), kid(against, images, encoder=which, seed=3)
    reach = 1.959964 * expected.attrs["error"]
    assert [three["value"], three["low"], three["high"]] == pytest.approx(
        [expected.item(), expected.item() - reach, expected.item() + reach], rel=1e-4
    )
    assert "takes images of one prompt for independent" in three["warning"]
    assert found.recipe["scale"] == "2.5"
    assert found.recipe["weights_sha256"] == which.recipe["weights_sha256"]


def test_a_picture_with_several_texts_has_their_mean(which, folders):
    texts = ["a cat", "a red car", "two dogs"]
    said = {**SAID, "1.png": tuple(texts)}
    found = score(folders[0], said=said, encoder=which).images
    each = clip_score([folders[0][1]] * 3, texts, model=which)
    assert found["clip_score"][1] == pytest.approx(each.mean().item())
    assert found["prompt"].tolist() == ["a cat", "a cat", "two dogs", "a car"]


def test_what_is_found_of_each_picture_can_be_compared(which, folders):
    one, two = (score(each, said=SAID, encoder=which) for each in folders)
    table = compare(one.images, two.images, on=["image"], cluster="prompt")
    assert table["measure"].tolist() == ["clip_score"]
    assert table["clusters"].tolist() == [3]


def test_files_with_other_names_are_compared_as_sets_only(which, folders, tmp_path):
    images, against = folders
    noise_pictures(1)[0].save(tmp_path / "else.png")
    other = Pictures((*against.paths[:3], tmp_path / "else.png"))
    found = score(images, against=other, said=SAID, encoder=which)
    assert found.table["of"].tolist() == ["images", "sets", "sets"]
    assert "the two folders have other file names" in found.notes[0]


def test_names_pair_off_whatever_the_kind_of_file(which, folders, tmp_path):
    for path, each in zip(folders[0].paths, folders[0], strict=True):
        each.save(tmp_path / f"{path.stem}.bmp")
    found = score(folders[0], against=pictures(tmp_path), said=SAID, encoder=which)
    assert row(found, "perceptual_distance", "pairs")["value"] == 0.0
    assert row(found, "clip_score", "images - against")["p"] == 1.0


def test_few_pictures_are_not_taken_for_a_set(which, folders):
    found = score(folders[0][:1], against=folders[1][:1], encoder=which)
    assert found.table["measure"].tolist() == ["image_similarity", "perceptual_distance"]
    assert found.notes[0] == "fid needs 2 images on each side; there are 1"
    assert np.isnan(found.table["low"]).all()


def test_an_encoder_without_layers_or_texts(folders):
    plain = Encoder("plain", lambda ps: [[float(np.mean(p)), 1.0] for p in ps])
    found = score(folders[0], against=folders[1], encoder=plain)
    assert found.table["measure"].tolist() == ["image_similarity", "fid", "kid"]
    assert "'plain' shows no layers" in found.notes[0]
    with pytest.raises(ArgumentError, match="the encoder 'plain' reads no texts"):
        score(folders[0], said=SAID, encoder=plain)


def test_texts_that_are_cut_are_noted_once(which, folders):
    said = dict.fromkeys(SAID, ("a cat " * 9,))
    found = score(folders[0], against=folders[1], said=said, encoder=which)
    assert len(found.notes) == 1
    assert "4 texts are longer than" in found.notes[0]


def test_a_picture_is_encoded_once_and_progress_is_told(which, folders):
    seen, told = [], []

    def features(ps):
        seen.extend(ps)
        return which.features(ps)

    counted = Encoder("counted", features, which.texts, which.layers, which.cut)
    images, against = folders
    score(
        images,
        against=against,
        said=SAID,
        encoder=counted,
        progress=lambda *now: told.append(now),
    )
    assert len(seen) == 8
    assert told == [(4, 8), (8, 8)]


def test_remembered_features_are_those_of_the_encoder(which):
    some = noise_pictures(5)
    remembered = remembering(which, 5, lambda *_: None)
    remembered.features(some[:3])
    np.testing.assert_allclose(
        remembered.features(some[::-1]), which.features(some[::-1]), atol=1e-6
    )


def test_something_to_score_against_is_needed(folders):
    with pytest.raises(ArgumentError, match="nothing to score against. Give prompts, or images"):
        score(folders[0])
    with pytest.raises(ArgumentError, match="scale is 'percent'"):
        score(folders[0], said=SAID, scale="percent")
    with pytest.raises(ArgumentError, match=r"1 of 4 images have none, such as '3\.png'"):
        score(folders[0], said={name: SAID[name] for name in list(SAID)[:3]})


def test_nothing_that_could_be_said_is_a_mistake(which, folders):
    with pytest.raises(ArgumentError, match="other file names.*; fid needs 2 images on each"):
        score(folders[0][:1], against=folders[1][1:2], encoder=which)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"seed": -1}, "score: seed is -1 and must lie in"),
        ({"seed": 2**63}, "score: seed is 9223372036854775808"),
        ({"level": 95.0}, "score: level is 95.0 and must lie between 0 and 1"),
    ],
)
def test_a_seed_or_level_that_cannot_be_is_told_before_anything_is_encoded(
    which, folders, numbers, message
):
    def never(*args):
        raise AssertionError("it encoded")

    with pytest.raises(ArgumentError, match=message):
        score(folders[0], said=SAID, encoder=replace(which, features=never), **numbers)
