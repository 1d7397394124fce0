import importlib
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from regard import registry
from regard.errors import ArgumentError, UnknownName
from regard.registry import Registry


@pytest.fixture
def shapes():
    return Registry("shape", {"tau": "math:tau", "pi": "math:pi"})


def claim(monkeypatch, *claims):
    found = [EntryPoint(name, value, "regard.shape") for name, value in claims]
    monkeypatch.setattr(registry, "entry_points", lambda group: found)


def test_a_registry_reads_as_a_mapping(shapes):
    assert shapes.names() == tuple(shapes) == ("pi", "tau")
    assert len(shapes) == 2
    assert "pi" in shapes
    assert "rho" not in shapes
    assert shapes["pi"] == shapes.get("pi") == pytest.approx(3.14159, abs=1e-5)
    assert repr(shapes) == "Registry(shape: pi, tau)"


def test_listing_the_names_imports_nothing():
    code = (
        "import sys; from regard.registry import Registry; "
        "r = Registry('shape', {'a': 'antigravity:fly'}); "
        "assert r.names() == ('a',); print('antigravity' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_unknown_name_is_answered_with_the_nearest(shapes):
    with pytest.raises(UnknownName) as raised:
        shapes.get("tao")
    assert str(raised.value) == "no shape is named 'tao'. Did you mean 'tau'? Known: tau, pi."


def test_another_package_adds_an_entry(shapes, monkeypatch):
    claim(monkeypatch, ("e", "math:e"))
    assert shapes.names() == ("e", "pi", "tau")
    assert shapes.get("e") == pytest.approx(2.71828, abs=1e-5)


@pytest.mark.parametrize(
    "claims", [[("tau", "other:tau")], [("e", "math:e"), ("e", "other:e")]], ids=["ours", "theirs"]
)
def test_two_claims_to_a_name_are_an_error(shapes, monkeypatch, claims):
    claim(monkeypatch, *claims)
    with pytest.raises(
        ArgumentError, match=r"two packages claim the shape '(tau|e)': math:.*other"
    ):
        shapes.names()


@pytest.mark.parametrize("room", ["measures", "scores"])
def test_every_entry_of_a_registry_is_an_attribute_of_its_package(room):
    package = importlib.import_module(f"regard.{room}")
    table = getattr(package, room)
    for name in table:
        assert getattr(package, name.replace("-", "_")) is table[name]
        assert name.replace("-", "_") in dir(package)


def test_a_submodule_does_not_hide_the_entry_of_its_name():
    code = (
        "import regard.measures.agreement, regard.look; from regard.measures import agreement; "
        "print(callable(regard.measures.agreement), callable(agreement), callable(regard.look))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 3


def test_a_package_hands_out_what_another_one_added(monkeypatch):
    claim(monkeypatch, ("tenfold", "math:e"))
    import regard.measures

    assert regard.measures.tenfold == pytest.approx(2.71828, abs=1e-5)
    monkeypatch.undo()
    vars(regard.measures).pop("tenfold")


def test_what_a_package_has_not_is_no_attribute():
    import regard

    with pytest.raises(AttributeError, match="module 'regard' has no attribute 'lok'"):
        regard.lok  # noqa: B018
