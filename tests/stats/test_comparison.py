import numpy as np
import pandas as pd
import pytest

from regard.errors import ArgumentError
from regard.stats.comparison import compare
from regard.stats.means import paired


def scores(shift=0.0):
    """Three prompts by two seeds; a measure that the shift moves, and one that it does not."""
    prompts = np.repeat(["cat", "dog", "car"], 2)
    clip = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    return pd.DataFrame(
        {"prompt": prompts, "seed": [0, 1] * 3, "clip": clip + shift, "area": [1, 2, 3, 4, 5, 6]}
    )


def test_each_measure_is_compared_in_pairs_clustered_by_prompt():
    table = compare(scores(), scores(0.1)).set_index("measure")
    assert table.index.tolist() == ["clip", "area"]
    row = table.loc["clip"]
    assert (row["first"], row["second"]) == pytest.approx((0.35, 0.45))
    assert row["difference"] == pytest.approx(0.1)
    assert row[["low", "high"]].isna().all()  # of three prompts
    assert (row["n"], row["clusters"]) == (6, 3)
    assert row["p"] == 0.25  # two of the eight ways to exchange three prompts
    assert row["p_holm"] == 0.5
    assert table.loc["area", "p"] == 1.0


def test_the_order_of_rows_does_not_matter():
    mixed = scores(0.1).sample(frac=1.0, random_state=1)
    pd.testing.assert_frame_equal(compare(scores(), mixed), compare(scores(), scores(0.1)))


def test_numbers_are_those_of_paired():
    noisy = scores().assign(clip=np.random.default_rng(0).normal(size=6))
    row = compare(scores(), noisy, values=["clip"], seed=5).iloc[0]
    prompts = scores()["prompt"].tolist()
    found = paired(scores()["clip"], noisy["clip"], clusters=prompts, seed=5)
    # Rows come sorted, so the clusters are drawn in another order: the mean and p are exact.
    assert row["difference"] == pytest.approx(found.interval.mean)
    assert row["p"] == found.p


def test_pairs_with_an_undefined_side_count_in_no_column():
    row = compare(scores(), scores().assign(clip=[np.nan, 1, 1, 1, 1, 1]), values=["clip"]).iloc[0]
    assert (row["n"], row["undefined"]) == (5, 1)
    assert row["first"] == pytest.approx(0.4)  # without the 0.1
    assert row["difference"] == pytest.approx(row["second"] - row["first"])


def test_other_columns_may_say_what_belongs_together():
    one = scores().rename(columns={"prompt": "text"}).assign(group="all")
    row = compare(one, one, on=["text", "seed"], cluster="group", values=["clip"]).iloc[0]
    assert row["clusters"] == 1
    assert np.isnan(row["low"])


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (scores().drop(columns="seed"), "the second table has no column 'seed'; it has"),
        (scores().iloc[:5], "1 rows are in one table only, such as one of the first"),
        (pd.concat([scores(), scores().iloc[:1]]), "the second table has .* twice"),
        (scores()[["prompt", "seed"]], "share no column of numbers beside"),
    ],
)
def test_tables_that_do_not_match_are_refused(second, said):
    with pytest.raises(ArgumentError, match=said):
        compare(scores(), second)
