"""Laws of the house, read off the source: what may depend on what, and what may be named what."""

import ast
from collections import defaultdict
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path

import pytest

import regard
from regard.registry import Registry

SOURCE = Path(regard.__file__).parent
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

ROOMS = ("explain", "measures", "methods", "scores")

TWICE = {"Layer"}
"""Names that two public classes still share; the list may only get shorter."""

ASKING = {
    "regard.experiments.evaluations.noised",
    "regard.zoo.diffusion",
    "regard.zoo.joint",
}
"""Modules that still ask a pipeline itself; the list may only get shorter."""


@cache
def trees():
    """Every module's tree, by its dotted name."""
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        parts = ("regard", *file.relative_to(SOURCE).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def nodes(kind):
    """Every node of a kind, with the name of its module."""
    return [(name, node) for name, tree in trees().items() for node in ast.walk(tree)
            if isinstance(node, kind)]  # fmt: skip


def public(name):
    return not name.startswith("_")


def imports(tree):
    """The modules of ours that a module imports anywhere, in functions too, but not for types."""
    typing = {id(inner) for node in ast.walk(tree)
              if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
              for inner in ast.walk(node)}  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in typing or not isinstance(node, ast.ImportFrom) or node.level:
            continue
        for alias in node.names:
            module = f"{node.module}.{alias.name}"
            yield module if module in trees() else node.module


def test_no_two_modules_import_each_other_in_any_number_of_turns():
    graph = {name: set(imports(tree)) & set(trees()) for name, tree in trees().items()}
    done, circles = set(), []

    def visit(name, path):
        if name in path:
            circles.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for each in sorted(graph[name]):
                visit(each, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    assert circles == []


def test_a_public_class_has_its_name_alone():
    homes = defaultdict(set)
    for module, node in nodes(ast.ClassDef):
        if public(node.name):
            homes[node.name].add(module)
    assert {name for name, where in homes.items() if len(where) > 1} == TWICE


def test_only_models_and_the_tap_ask_a_pipeline_itself():
    asking = {
        module
        for module, node in nodes(ast.Attribute)
        if isinstance(node.value, ast.Name)
        and node.value.id == "pipeline"
        and not module.startswith(("regard.models", "regard.tap"))
    }
    assert asking == ASKING


def test_methods_know_no_pipeline():
    told = [
        f"{module}: {node.attr}"
        for module, node in nodes(ast.Attribute)
        if module.startswith("regard.methods") and node.attr == "pipeline"
    ]
    assert told == []


def defaults(node):
    """The default of each argument by its name; None where there is none."""
    own = node.args
    first = [*own.posonlyargs, *own.args]
    without = [None] * (len(first) - len(own.defaults))
    names = [each.arg for each in [*first, *own.kwonlyargs]]
    return dict(zip(names, [*without, *own.defaults, *own.kw_defaults], strict=True))


@pytest.mark.parametrize("name", ["num_inference_steps", "guidance_scale"])
def test_numbers_of_a_generation_have_no_default_but_the_models_own(name):
    given = [
        f"{module}.{node.name}"
        for module, node in nodes(FUNCTIONS)
        if isinstance(default := defaults(node).get(name), ast.Constant)
        and default.value is not None
    ]
    assert given == []


@cache
def handed_out():
    """What packages hand out, by module and name."""
    packages = [name for name in trees() if (SOURCE / Path(*name.split(".")[1:])).is_dir()]
    public = [(import_module(name), each) for name in packages
              for each in getattr(import_module(name), "__all__", ())]  # fmt: skip
    return {f"{getattr(getattr(package, name), '__module__', '')}.{name}"
            for package, name in public}  # fmt: skip


def test_no_public_function_is_told_who_calls_it():
    told = {
        f"{module}.{node.name}"
        for module, node in nodes(FUNCTIONS)
        if f"{module}.{node.name}" in handed_out() and {"who", "caller"} & set(defaults(node))
    }
    assert told == set()
    assert "regard.look.observe.look" in handed_out()


@pytest.mark.parametrize("room", ROOMS)
def test_every_entry_of_a_registry_is_an_attribute_of_its_room(room):
    package = import_module(f"regard.{room}")
    registries = [each for each in vars(package).values() if isinstance(each, Registry)]
    names = [name.replace("-", "_") for name in chain.from_iterable(registries)]
    assert names
    assert set(names) <= set(dir(package))
    for registry in registries:
        for name in registry:
            assert getattr(package, name.replace("-", "_")) is registry.get(name)
