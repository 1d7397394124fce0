import tomllib
from importlib import import_module, resources

import pytest

from regard.errors import UnknownName
from regard.zoo.recipe import recipe, recipes


def test_every_recipe_file_is_offered_and_every_offer_has_its_file():
    folder = resources.files("regard.zoo").joinpath("recipes")
    files = {each.name.removesuffix(".toml") for each in folder.iterdir()}
    assert files == set(recipes())


def test_a_recipe_is_trained_after_what_it_needs():
    order = recipes()
    for name in order:
        assert all(order.index(other) < order.index(name) for other in recipe(name).needs)


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_says_what_its_file_says(name):
    file = resources.files("regard.zoo").joinpath("recipes", f"{name}.toml")
    stated, plan = tomllib.loads(file.read_text()), recipe(name)
    assert (plan.name, plan.task, plan.network) == (name, stated["task"], stated["network"])
    assert plan.train == stated["train"]
    assert plan.model == stated["model"]


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_names_a_class_of_the_model_libraries(name):
    import diffusers
    import transformers

    assert hasattr(diffusers, recipe(name).network) or hasattr(transformers, recipe(name).network)
    assert callable(import_module(f"regard.zoo.{recipe(name).task}").task)


def test_no_two_recipes_train_on_the_same_scenes():
    seeds = [recipe(name).train["seed"] for name in recipes()]
    assert len(set(seeds)) == len(seeds)


def test_an_unknown_recipe_is_told_the_nearest():
    with pytest.raises(UnknownName, match=r"Did you mean 'openmoji-clip'\? Known: openmoji-clip"):
        recipe("openmoji-clap")
