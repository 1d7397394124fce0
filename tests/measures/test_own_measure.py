"""A measure of one's own, written with what `regard.measures` hands out and nothing else."""

import numpy as np
import pytest
import xarray as xr

import regard.measures
from regard.errors import NotAttentionError
from regard.measures import READS, About, measure, of_rows


@measure(unit="1", low="1/keys", higher="more concentrated", reads="rows")
def peak(weights: xr.DataArray, *, over: str = "key", prefix: int = 0) -> xr.DataArray:
    """The largest weight of a row: 1/n spread evenly over n keys, 1 on one key."""
    return of_rows(peak, lambda rows: rows.max(-1), weights, over=over, prefix=prefix)


def rows(values):
    return xr.DataArray(values, dims=["query", "key"])


def test_all_that_it_takes_is_public():
    names = {"READS", "About", "measure", "of_rows"}
    assert names <= set(dir(regard.measures))
    assert names <= set(regard.measures.__all__)


def test_by_hand():
    found = peak(rows([[0.5, 0.5], [0.0, 1.0]]))
    np.testing.assert_allclose(found.values, [0.5, 1.0])
    assert found.name == "peak"
    assert found.attrs["units"] == "1"


def test_what_it_says_of_itself():
    assert isinstance(peak.about, About)
    assert peak.about.range == "1/keys..1"
    assert peak.about.reads in READS
    assert peak.about.question.startswith("The largest weight of a row")


def test_what_is_no_attention_is_refused_in_its_name():
    with pytest.raises(NotAttentionError, match="^peak: attention must be"):
        peak(rows([[0.5, 0.7]]))
