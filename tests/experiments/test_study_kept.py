import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fashion
from regard.errors import OutputError
from regard.experiments.studies import vit
from regard.experiments.studies.parts import plain_to_value, value_to_plain
from regard.experiments.studies.sizes import Shown

KNOWN = {"Shown": Shown}


def kept(value):
    """A value that was on disk."""
    import json

    arrays = {}
    return plain_to_value(json.loads(json.dumps(value_to_plain(value, arrays))), arrays, KNOWN)


def test_what_a_study_measures_is_read_as_it_was_written():
    line = xr.DataArray(
        np.arange(4, dtype=np.float32).reshape(2, 2),
        dims=["sample", "layer"],
        coords={"layer": ["a", "b"], "of": ("sample", [1, 2])},
        attrs={"units": "bit", "grid": (1, 2), "scale": np.float64(2.5)},
    )
    found = kept(line)
    xr.testing.assert_identical(found, line)
    assert found.dtype == np.float32
    assert found.attrs["grid"] == (1, 2)
    both = xr.Dataset({"one": line, "two": line.isel(layer=0, drop=True)})
    xr.testing.assert_identical(kept(both), both)
    table = pd.DataFrame({"layer": [0, 1], "cluster": [2, 3], "name": ["a", "b"]})
    pd.testing.assert_frame_equal(kept((both, table))[1], table)
    shown = kept([Shown((28, 28), line, line, both)])[0]
    assert (shown.size, shown.name) == ((28, 28), "28 px")
    xr.testing.assert_identical(shown.depth, both)
    with pytest.raises(TypeError, match="is no value of a part"):
        value_to_plain(object(), {})


def test_a_study_that_was_stopped_goes_on_from_its_finished_parts(study, tmp_path):
    class Stopped(Exception):
        pass

    told = []

    def stop(what, done, total):
        told.append(what)
        if "without" in what:  # the sixth part has begun
            raise Stopped

    how = {"budget": fashion.TINY, "store": tmp_path / "s"}
    with pytest.raises(Stopped):
        vit(fashion.knowing(), fashion.clothes(), **how, progress=stop)
    parts = sorted(each.name for each in (tmp_path / "s" / "cases").iterdir() if each.is_dir())
    assert parts == ["1-whole", "2-depth", "3-clusters", "4-sizes", "5-mistakes"]
    again = []
    found = vit(
        fashion.knowing(), fashion.clothes(), **how, progress=lambda what, *_: again.append(what)
    )
    measured = list(dict.fromkeys(what for what in again if not what.startswith("found")))
    assert measured[0].startswith("classifying 10 images without each")
    pd.testing.assert_frame_equal(found.findings, study.findings)
    for name, table in study.tables.items():
        pd.testing.assert_frame_equal(found.tables[name], table, check_dtype=False)


def test_parts_of_other_pictures_are_not_taken(tmp_path):
    def stop(what, done, total):
        if done > 0:
            raise KeyboardInterrupt

    how = {"budget": fashion.TINY, "store": tmp_path / "s"}
    seen, stops = fashion.clothes(), []

    def after_a_part(what, done, total):
        stops.append(what)
        if len(set(stops)) > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vit(fashion.knowing(), seen, **how, progress=after_a_part)
    other = type(seen)(**{**vars(seen), "images": seen.images // 2})
    with pytest.raises(OutputError, match="unfinished study with another data_sha256"):
        vit(fashion.knowing(), other, **how)
