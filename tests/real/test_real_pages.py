"""The command line, the separate files and the page of a real model on a real photograph."""

import numpy as np
import pytest
from photographs import photo
from PIL import Image
from scipy.stats import spearmanr
from typer.testing import CliRunner

from reader import Reader, decoded
from regard.cli import app
from regard.trace import Trace
from regard.views.stamp import LINE, MARGIN


@pytest.fixture(scope="module", params=[None, "518"], ids=["224", "518"])
def out(request, folder, tmp_path_factory):
    """What `regard look` writes of a photograph of a cat's face."""
    place = tmp_path_factory.mktemp("look")
    Image.fromarray(photo("chelsea")).save(place / "chelsea.png")
    options = [] if request.param is None else ["--size", request.param, "--queries", "cls"]
    arguments = ["--image", place / "chelsea.png", "--model", folder, "--out", place / "out"]
    done = CliRunner().invoke(app, ["look", *map(str, arguments), *options])
    assert done.exit_code == 0, done.output
    (place / "said").write_text(done.stdout)
    return place / "out"


def test_sinks_and_norm_outliers_are_named(out):
    said = (out.parent / "said").read_text()
    # The first layer's: of 0.167, where the 98th percentile is 0.0094, at 224 pixels.
    assert "Where cls looks in encoder.layer.0.attention, sinks: y " in said
    assert "Norm outliers: cls in " in said
    assert (
        "cls" in Trace.load(out / "trace.zarr").recipe["norm_outliers"]["encoder.layer.4.attention"]
    )


def pixels_of(file):
    with Image.open(file) as opened:
        return np.asarray(opened.convert("RGB"), dtype=float)


def test_every_separate_file_shows_something(out):
    files = sorted((out / "heatmaps").glob("*.png"))
    assert len(files) == 12
    size = pixels_of(out / "image.png").shape[0]
    for file in files:
        drawn = pixels_of(file)[LINE + 2 :, 2 * MARGIN + size :][:size, :size]
        patches = drawn.reshape(size // 14, 14, size // 14, 14, 3).mean((1, 3))
        light = patches @ [0.299, 0.587, 0.114]
        low, high = np.quantile(light, [0.05, 0.95])
        assert high - low > 25, file.name  # of 183 from end to end


def test_the_page_shows_something_and_can_be_read_back(out, browser):
    reader = Reader(browser, out / "page.html", viewport={"width": 1280, "height": 1000})
    trace = Trace.load(out / "trace.zarr")
    grid = trace.attention("cls").shape
    for layer in (0, 8, 11):
        reader.slide("layer", layer)
        heat = trace.attention("cls", layers=list(trace.self_attention)[layer]).values
        for show in ("beside", "overlay"):
            reader.click(f'[data-part="show"] [data-value="{show}"]')
            read = reader.read_back("cls", grid)
            assert spearmanr(read, heat.ravel()).statistic >= 0.95
            low, high = np.quantile(read, [0.05, 0.95])
            assert high - low > 30  # of 255 places on the colour bar
    reader.slide("layer", 0)
    assert " takes 0." in reader.caption("sinks")
    thumbs = reader.tab.eval_on_selector_all(
        ".thumb[data-head=all] canvas", "all => all.map(canvas => canvas.toDataURL())"
    )
    assert len(thumbs) == 13
    for url in thumbs:
        light = decoded(url) @ [0.299, 0.587, 0.114]
        assert np.quantile(light, 0.95) - np.quantile(light, 0.05) > 30
    assert reader.complaints == []
    reader.tab.close()
