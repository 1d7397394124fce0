"""Stand-ins for the bundled models: the same classes and recipes, shrunk, trained for one step."""

import pytest

from regard.zoo.train import train
from small_recipes import NAMES, shrink


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory):
    """A folder as REGARD_MODELS wants it, with every bundled model in small."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        patch.setenv("REGARD_MODELS", str(folder))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for name in NAMES:
            train(name, folder / name, steps=1)
    return folder


@pytest.fixture
def small(stand_ins, monkeypatch):
    """Shrunken recipes, and the stand-ins in the place of the bundled weights."""
    from regard.zoo import judge

    shrink(monkeypatch)
    monkeypatch.setenv("REGARD_MODELS", str(stand_ins))
    monkeypatch.setenv("XDG_CACHE_HOME", str(stand_ins / "cache"))
    judge._network.cache_clear()
    judge._tokenizer.cache_clear()
    yield stand_ins
    judge._network.cache_clear()
    judge._tokenizer.cache_clear()
