import numpy as np
import xarray as xr

from regard.measures.about import About, about_of, labelled, measure


@measure(unit="key", reads="rows", higher="more keys", low=1.0, high="keys")
def count(weights):
    """How many keys there are: 1 at least.

    Source:
        Euclid, "Elements",
        book VII.
    """


def bare(weights):
    """A measure of another package."""


def test_what_a_measure_says_is_read_from_its_docstring():
    assert count.about.question == "How many keys there are: 1 at least."
    assert count.about.source == 'Euclid, "Elements", book VII.'
    assert count.about.range == "1..keys"
    assert about_of(count) is count.about


def test_a_measure_that_says_nothing_is_listed_by_its_docstring():
    about = about_of(bare)
    assert isinstance(about, About)
    assert about.question == "A measure of another package."
    assert (about.unit, about.range, about.source) == ("see its docstring", "", "")


def test_a_result_has_its_unit_and_counts_what_is_undefined():
    value = xr.DataArray([1.0, np.nan, np.nan], dims="query", attrs={"units": "old", "other": 1})
    got = labelled(value, count, note="more")
    assert got.name == "count"
    assert got.attrs == {"units": "key", "undefined": 2, "note": "more"}
