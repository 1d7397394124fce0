"""What holds for all tests."""

import os

import pytest
from hypothesis import settings

# Machines differ in speed, and a test that fails by chance teaches nothing.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # several processes that each use all cores are slower
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read once, when torch is first imported


def pytest_xdist_auto_num_workers(config):
    """As many processes as have a core for each of their threads."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    return max(1, len(os.sched_getaffinity(0)) // threads)


@pytest.fixture(scope="session", autouse=True)
def tolerances():
    """The rule of CONTRIBUTING, checked wherever numbers are compared."""
    import tolerance  # imports torch, after the number of threads is set

    with pytest.MonkeyPatch.context() as patch:
        tolerance.watch(patch)
        yield


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The folder of a tiny pipeline, as the command line takes it."""
    from looks import pipeline

    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipeline().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory):
    """A folder as REGARD_MODELS wants it: every bundled model in small, trained for one step."""
    from regard.zoo.train import train
    from small_recipes import NAMES, shrink

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
    from regard.models import detector
    from regard.models.opening import opened_once
    from small_recipes import shrink

    shrink(monkeypatch)
    monkeypatch.setenv("REGARD_MODELS", str(stand_ins))
    monkeypatch.setenv("XDG_CACHE_HOME", str(stand_ins / "cache"))
    opened_once.cache_clear()
    detector._tokenizer.cache_clear()
    yield stand_ins
    opened_once.cache_clear()
    detector._tokenizer.cache_clear()
