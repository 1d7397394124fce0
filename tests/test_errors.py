import pytest

from regard import errors
from regard.errors import MissingDependency, RegardError, nearest, need, unknown

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, RegardError) and kind is not RegardError
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_is_ours_and_a_standard_one(kind):
    standard = {ValueError, LookupError, RuntimeError, OSError, ImportError}
    assert len(standard & set(kind.__mro__)) == 1
    assert kind.__doc__


def test_a_missing_library_comes_with_its_pip_line():
    with pytest.raises(MissingDependency) as raised:
        need("no_such_library", extra="cluster", caller="experiments.run(on='ray')")
    assert str(raised.value) == (
        "experiments.run(on='ray') needs 'no_such_library', which is not installed: "
        "pip install 'regard[cluster]'."
    )


def test_a_library_that_is_there_is_handed_over():
    assert need("math", extra="none", caller="test").floor(2.5) == 2


def test_the_nearest_name_comes_first_and_the_rest_sorted():
    assert nearest("entropi", ["focus", "entropy", "coverage"]) == ["entropy", "coverage", "focus"]


def test_an_unknown_name_among_none_says_so():
    assert str(unknown("view", "page", [])) == "no view is named 'page'. Known: none."


def test_advice_comes_last():
    message = str(unknown("model", "opnmoji", ["openmoji"], advice="Or give a folder."))
    assert message == (
        "no model is named 'opnmoji'. Did you mean 'openmoji'? Known: openmoji. Or give a folder."
    )
