"""Write the Python reference, docs/reference/api, from the signatures and docstrings in src.

``make api`` runs it; a test compares its pages with those that are committed. It reads the source
of every public name, so that the pages are the same under every version of Python.
"""

import argparse
import ast
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import regard
from regard.registry import Registry

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "reference" / "api"
UP = "../../.."
"""From a page to the root of the repository."""

WIDTH = 90
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Source")
SHOWN = ("Args", "Attributes", "Returns", "Yields")
"""The sections of a docstring that a page repeats; the rest is behind the link to the source."""

NOTE = "<!-- Written by docs/make_api.py from the docstrings: edit those, then run `make api`. -->"


def pages() -> dict[str, str]:
    """Every page of the reference by its file name."""
    found = {package.__name__: package for package in packages()}
    made = {f"{name}.md": page_of(package) for name, package in found.items()}
    return {"index.md": index_of(found), **made}


def packages() -> Iterator[ModuleType]:
    """The package itself, then every package and module in it that has public names."""
    yield regard
    for each in pkgutil.iter_modules(regard.__path__):
        if each.name != "cli":
            module = importlib.import_module(f"regard.{each.name}")
            if getattr(module, "__all__", None):
                yield module


def index_of(found: dict[str, ModuleType]) -> str:
    """The page that lists the packages."""
    rows = [
        f"| [`{name}`]({name}.md) | {summary_of(package)} | {len(names_of(package))} |"
        for name, package in found.items()
    ]
    about = (
        "Every public name with its signature and what it does, by package. The docstring in the "
        "source, behind each link, also has what is raised, an example and the paper."
    )
    table = "\n".join(["| package | | names |", "|---|---|---|", *rows])
    return f"# API reference\n\n{NOTE}\n\n{wrapped(about)}\n\n{table}\n"


def page_of(package: ModuleType) -> str:
    """The page of one package."""
    parts = [f"# `{package.__name__}`", NOTE, prose_of(inspect.getdoc(package) or "")]
    parts += [entry_of(package, name) for name in names_of(package)]
    return "\n\n".join(part for part in parts if part) + "\n"


def names_of(package: ModuleType) -> list[str]:
    """Public names, and those of the entries of the package's registries."""
    names = list(package.__all__)
    for name in package.__all__:
        value = getattr(package, name)
        if isinstance(value, Registry) and package is not regard:
            entries = [entry.replace("-", "_") for entry in value.table]
            names += [entry for entry in entries if entry in dir(package)]
    return list(dict.fromkeys(names))


def entry_of(package: ModuleType, name: str) -> str:
    """Heading, signature, summary, arguments and source of one name."""
    value, heading = getattr(package, name), f"## `{name}`"
    if isinstance(value, ModuleType):
        return f"{heading}\n\nThe package [`{value.__name__}`]({value.__name__}.md)."
    if inspect.isclass(value) or inspect.isroutine(value):
        home = str(inspect.unwrap(value).__module__)
        page = ".".join(home.split(".")[:2])
        if package is regard and name in getattr(sys.modules[page], "__all__", ()):
            return f"{heading}\n\n{summary_of(value)} See [`{page}`]({page}.md#{name.lower()})."
        body = [signature_of(node_of(value)), prose_of(inspect.getdoc(value) or "")]
        body += [members_of(value)] if inspect.isclass(value) else []
        return "\n\n".join([heading, *filter(None, body), link_of(home)])
    return f"{heading}\n\n{constant_of(package, name, value)}"


def link_of(home: str) -> str:
    """A link to the source file of a module."""
    path = Path(str(sys.modules[home].__file__)).resolve()
    inside = path.relative_to(Path(str(regard.__file__)).resolve().parents[1])
    return f"[Source of `{home}`]({UP}/src/{inside.as_posix()})"


# ---------------------------------------------------------------- signatures


def node_of(value: Any) -> ast.FunctionDef | ast.ClassDef:
    """The definition of a function or class in its source."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(value)))
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef | ast.ClassDef), value
    return node


def signature_of(node: ast.FunctionDef | ast.ClassDef) -> str:
    """The signature as it is written in the source; of a class, that of its constructor."""
    name = node.name
    if isinstance(node, ast.FunctionDef):
        return fenced(name, arguments_of(node.args), node.returns)
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            return fenced(f"class {name}", arguments_of(each.args)[1:])
    if any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        return fenced(f"class {name}", [text for text, _ in fields_of(node)])
    bases = [ast.unparse(base) for base in node.bases]
    return fenced(f"class {name}", bases)


def arguments_of(args: ast.arguments) -> list[str]:
    """The arguments one by one, with ``*`` and ``/`` where they are."""
    plain = [*args.posonlyargs, *args.args]
    first = len(plain) - len(args.defaults)
    found = [
        argument_of(each, args.defaults[i - first] if i >= first else None)
        for i, each in enumerate(plain)
    ]
    if args.posonlyargs:
        found.insert(len(args.posonlyargs), "/")
    if args.vararg:
        found.append(f"*{argument_of(args.vararg)}")
    elif args.kwonlyargs:
        found.append("*")
    found += [
        argument_of(each, default)
        for each, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    return found + ([f"**{argument_of(args.kwarg)}"] if args.kwarg else [])


def argument_of(arg: ast.arg, default: ast.expr | None = None) -> str:
    """One argument, with its annotation and default."""
    kind = f": {ast.unparse(arg.annotation)}" if arg.annotation else ""
    if default is None:
        return f"{arg.arg}{kind}"
    return f"{arg.arg}{kind}{' = ' if kind else '='}{ast.unparse(default)}"


def fields_of(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The fields of a dataclass that its constructor takes: as written, and their names."""
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            value = ast.unparse(each.value) if each.value else ""
            if "ClassVar" in ast.unparse(each.annotation) or "init=False" in value:
                continue
            made = re.fullmatch(r"field\((.*)\)", value)
            if made:
                value = "..." if "default" in made[1] else ""
            text = f"{each.target.id}: {ast.unparse(each.annotation)}"
            yield text + (f" = {value}" if value else ""), each.target.id


def fenced(name: str, arguments: list[str], returns: ast.expr | None = None) -> str:
    """A signature as a code block, one argument a line where it is long."""
    end = f" -> {ast.unparse(returns)}" if returns else ""
    line = f"{name}({', '.join(arguments)}){end}"
    if len(line) > WIDTH:
        line = f"{name}(\n" + "".join(f"    {each},\n" for each in arguments) + f"){end}"
    return f"```text\n{line}\n```"


def members_of(kind: type) -> str:
    """The public methods and properties of a class, each with its summary."""
    rows: dict[str, str] = {}
    for each in kind.__mro__:
        if each.__module__.startswith("regard"):
            for node in node_of(each).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    rows.setdefault(node.name, member_of(node))
    return "\n".join(["**Methods and properties**\n", *rows.values()]) if rows else ""


def member_of(node: ast.FunctionDef) -> str:
    """One method or property."""
    about, called = first_sentence(ast.get_docstring(node) or ""), node.name
    marks = {ast.unparse(mark) for mark in node.decorator_list}
    if not any("property" in mark for mark in marks):
        own = 0 if "staticmethod" in marks else 1
        called += f"({', '.join(arguments_of(node.args)[own:])})"
    return f"- `.{called}`: {about}".rstrip(": ")


# ---------------------------------------------------------------- docstrings


def summary_of(value: Any) -> str:
    """The first paragraph of what documents an object."""
    return first_sentence(inspect.getdoc(value) or "")


def first_sentence(doc: str) -> str:
    """The first paragraph of a docstring on one line, as Markdown."""
    return code_of(" ".join(doc.split("\n\n")[0].split()))


def code_of(text: str) -> str:
    """Code as Markdown has it: one backtick on each side."""
    return re.sub(r"``(.+?)``", r"`\1`", text)


def prose_of(doc: str) -> str:
    """A docstring as Markdown: what it says, then the sections that are shown."""
    split = re.split(rf"^({'|'.join(SECTIONS)}|[A-Z][\w ]+):\n(?=    )", doc.rstrip(), flags=re.M)
    parts = [paragraphs(split[0])]
    for title, text in zip(split[1::2], split[2::2], strict=True):
        if title in SHOWN:
            listed = title in ("Args", "Attributes")
            inside = textwrap.dedent(text)
            told = items_of(inside) if listed else wrapped(code_of(" ".join(inside.split())))
            parts.append(f"**{title}**\n\n{told}" if listed else f"**{title}:** {told}")
    return "\n\n".join(part for part in parts if part)


def paragraphs(text: str) -> str:
    """Paragraphs and lists, in lines of one width."""
    made = []
    for paragraph in text.strip().split("\n\n"):
        if paragraph.lstrip().startswith(("* ", "- ")):
            made.append(code_of(textwrap.dedent(paragraph)))
        else:
            made.append(wrapped(code_of(" ".join(paragraph.split()))))
    return "\n\n".join(made)


def items_of(text: str) -> str:
    """``name: what it is`` as a list."""
    items = re.split(r"^(?=\*{0,2}\w[\w, *]*: )", text.strip(), flags=re.M)
    found = []
    for item in filter(None, items):
        name, _, about = " ".join(item.split()).partition(": ")
        found.append(f"- `{name}`: {code_of(about)}")
    return "\n".join(found)


def wrapped(text: str) -> str:
    """Text in lines of a width that one can read."""
    return textwrap.fill(text, 110, break_long_words=False, break_on_hyphens=False)


def constant_of(package: ModuleType, name: str, value: Any) -> str:
    """What a value is: its assignment or its type, and the text under it in the source."""
    if isinstance(value, Registry):
        names = ", ".join(f"`{each}`" for each in sorted(value.table))
        return f"`Registry` of every {value.kind} by name:\n{wrapped(names)}."
    for module in dict(sys.modules).values():
        home = getattr(module, "__name__", "")
        if home.startswith("regard.") and vars(module).get(name) is value:
            node, text = assigned(inspect.getsource(module), name)
            if node is not None:
                line = f"```text\n{ast.unparse(node)}\n```"
                shown = line if len(line) < 2 * WIDTH else f"A `{type(value).__name__}`."
                return "\n\n".join(filter(None, [shown, first_sentence(text), link_of(home)]))
    return f"A `{type(value).__name__}`."


def assigned(source: str, name: str) -> tuple[ast.stmt | None, str]:
    """The assignment of a name in a module, and the text under it; None if it is not assigned."""
    body = ast.parse(source).body
    for each, after in zip(body, [*body[1:], None], strict=True):
        targets = each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            text = getattr(getattr(after, "value", None), "value", "")
            return each, text if isinstance(after, ast.Expr) and isinstance(text, str) else ""
    return None, ""


def main() -> None:
    """Write the pages, or with ``--check`` say which are not as they would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if pages differ")
    check = parser.parse_args().check
    made = pages()
    there = {page.name: page.read_text() for page in PAGES.glob("*.md")}
    differ = sorted({name for name in {*made, *there} if made.get(name) != there.get(name)})
    if check:
        if differ:
            raise SystemExit(f"these pages have fallen behind; run make api: {', '.join(differ)}")
        return
    PAGES.mkdir(exist_ok=True)
    for name in differ:
        if name in made:
            (PAGES / name).write_text(made[name])
        else:
            (PAGES / name).unlink()


if __name__ == "__main__":
    main()
