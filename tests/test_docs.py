"""The docs name everything that is public, point at what is there, and their code runs."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import regard
from regard import errors
from regard.axes import AXES
from regard.errors import DataError, RegardError
from regard.explain import explanations
from regard.measures import measures
from regard.measures.words import Thresholds
from regard.methods import methods
from regard.scores import judges
from regard.zoo.cards import FIGURES
from small_recipes import NAMES, shrink

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING")]
PAGES += sorted(DOCS.rglob("*.md"))
ROOMS = (
    "data",
    "experiments",
    "explain",
    "generation",
    "look",
    "measures",
    "methods",
    "models",
    "scores",
    "stats",
    "steering",
    "tap",
    "trace",
    "views",
    "zoo",
)

NOT_RUN = "<!-- not run:"


def reference(name):
    return (DOCS / "reference" / f"{name}.md").read_text()


def section(text, heading):
    """What stands under a heading, up to the next of its rank."""
    rank = heading.split()[0]
    found = re.search(rf"^{re.escape(heading)}.*?$(.*?)(?=^{rank} |\Z)", text, re.M | re.S)
    assert found, f"there is no heading '{heading}'"
    return found[1]


# ---------------------------------------------------------------- everything is named


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_public_name_is_in_the_reference(room):
    home = importlib.import_module(f"regard.{room}".rstrip("."))
    text = reference(f"api/{home.__name__}")
    missing = [name for name in home.__all__ if f"\n## `{name}`\n" not in text]
    assert not missing


def test_the_api_pages_are_those_that_the_docstrings_make():
    # In a process of its own: here the types of arguments are checked, which changes functions.
    script = [sys.executable, str(DOCS / "make_api.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_entry_of_a_registry_is_in_the_api_pages():
    for room in ("measures", "methods", "scores"):
        home = importlib.import_module(f"regard.{room}")
        names = [name.replace("-", "_") for name in getattr(home, room).names()]
        text = reference(f"api/{home.__name__}")
        assert [name for name in names if f"\n## `{name}`\n" not in text] == [], room


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_public_function_and_class_has_a_docstring(room):
    home = importlib.import_module(f"regard.{room}".rstrip("."))
    named = {name: getattr(home, name) for name in home.__all__}
    bare = [name for name, it in named.items() if inspect.isroutine(it) and not it.__doc__]
    assert not bare
    assert all(it.__doc__ for it in named.values() if inspect.isclass(it))


def commands(group, path="regard"):
    """Every command of the command line, by the words that one types."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_and_option_is_in_the_reference():
    from typer.main import get_command

    from regard.cli import app

    text, found = reference("command-line"), dict(commands(get_command(app)))
    assert {"regard look", "regard data scenes"} <= set(found)
    for words, command in found.items():
        told = section(text, f"## `{words}")
        options = [opt for each in command.params for opt in each.opts if opt.startswith("--")]
        missing = [opt for opt in options if f"`{opt}" not in told and opt != "--help"]
        assert not missing, words


def test_every_option_in_the_reference_is_there():
    from typer.main import get_command

    from regard.cli import app

    for words, command in commands(get_command(app)):
        told = re.findall(
            r"^\| `(--[a-z-]+)", section(reference("command-line"), f"## `{words}"), re.M
        )
        there = {opt for each in command.params for opt in each.opts}
        assert set(told) <= there, words


KINDS = [
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, RegardError)
]


@pytest.mark.parametrize("name", KINDS)
def test_every_error_has_a_page_with_symptom_cause_and_fix(name):
    text = (DOCS / "errors" / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    for heading in ("## Symptom", "## Cause", "## Fix"):
        assert section(text, heading).strip()
    assert f"({name}.md)" in (DOCS / "errors" / "index.md").read_text()


def test_no_page_is_about_an_error_that_is_not_there():
    assert {page.stem for page in (DOCS / "errors").glob("*.md")} == {*KINDS, "index"}


def test_every_measure_is_in_the_reference():
    text = reference("measures")
    assert [name for name in measures.names() if f"| `{name}` |" not in text] == []


def test_every_explanation_is_in_the_reference():
    text = reference("explanations")
    assert [name for name in explanations.names() if f"| `{name}` |" not in text] == []


def test_every_judge_is_in_the_reference():
    text = reference("measures")
    assert [name for name in judges.names() if f"| `{name}` |" not in text] == []


def test_every_method_is_in_the_reference():
    text = reference("methods")
    assert [name for name in methods.names() if f"| `{name}` |" not in text] == []


def test_every_bundled_model_and_figure_is_in_the_reference():
    text = reference("models")
    assert [name for name in NAMES if f"[`{name}`]" not in text] == []
    assert [key for key in FIGURES if f"| `{key}` |" not in text] == []


def test_every_axis_is_told_with_its_meaning():
    for name, meaning in AXES.items():
        assert f"| `{name}` | {meaning} |" in reference("trace")


def test_the_thresholds_are_told_as_they_are():
    text = (DOCS / "explanation" / "redundant-words.md").read_text()
    told = dict(re.findall(r"`(\w+)`\s=\s+(1/255|[\d.]+)", text))
    numbers = {name: 1 / 255 if value == "1/255" else float(value) for name, value in told.items()}
    assert numbers == vars(Thresholds())


def test_every_page_can_be_reached_from_the_index():
    seen, ahead = set(), [DOCS / "index.md"]
    while ahead:
        page = ahead.pop()
        if page not in seen:
            seen.add(page)
            ahead += [to for to in targets(page) if to.suffix == ".md" and DOCS in to.parents]
    assert set(DOCS.rglob("*.md")) == seen


# ---------------------------------------------------------------- links


def targets(page):
    """The files that a page links to or shows."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    local = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:", link)]
    return [Path(os.path.normpath(page.parent / link)) for link in local if link]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_picture_is_there(page):
    missing = {str(to.relative_to(ROOT)) for to in targets(page) if not to.exists()}
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_heading_is_there(page):
    for file, heading in re.findall(r"\]\(([^)\s#]+\.md)#([^)]+)\)", page.read_text()):
        text = (page.parent / file).read_text()
        headings = re.findall(r"^#+ (.*)$", text, re.M)
        anchors = {re.sub("[`?]", "", each.lower()).replace(" ", "-") for each in headings}
        assert heading in anchors


def test_a_change_is_told_in_few_words():
    lines = section((ROOT / "CHANGELOG.md").read_text(), "## Unreleased").strip().split("\n- ")
    assert max(len(line.split()) for line in lines) <= 26  # about 25, and the first has its dash


# ---------------------------------------------------------------- code


def blocks(page):
    """The Python blocks of a page that run, in order."""
    found = re.findall(r"(<!-- .*? -->\n)?```python\n(.*?)```", page.read_text(), re.S)
    return [code for note, code in found if not note.startswith(NOT_RUN)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Bundled weights, or small stand-ins where they were not trained yet."""
    from regard.models import detector
    from regard.models.opening import opened_once
    from regard.zoo import weights_folder
    from regard.zoo.train import train

    def forget():
        opened_once.cache_clear()
        detector._tokenizer.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        forget()
        folder = tmp_path_factory.mktemp("models")
        patch.setenv("REGARD_MODELS", str(folder))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        shrink(patch)
        for name in NAMES:
            try:
                weights_folder(name)
            except DataError:
                train(name, folder / name, steps=0)
        yield
    forget()


RUN = [page for page in PAGES if blocks(page)]


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs_from_top_to_bottom(page, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for code in blocks(page):
        # A reader makes a good picture; here it is enough that one is made.
        for steps, quick in (("steps=30", "steps=2"), ("steps=slice(20, None)", "steps=[1]")):
            code = code.replace(steps, quick)
        exec(compile(code, str(page), "exec"), names)
    capsys.readouterr()


def test_the_readme_shows_ten_lines_of_python():
    (code,) = blocks(ROOT / "README.md")
    assert len(code.strip().splitlines()) <= 12


def test_the_readme_and_the_package_name_the_same_verbs():
    (code,) = blocks(ROOT / "README.md")
    assert {verb for verb in re.findall(r"regard\.(\w+)", code)} <= set(regard.__all__)
