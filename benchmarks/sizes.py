"""How long modules and functions are: lines of code, without blank lines, comments and docstrings.

    python benchmarks/sizes.py

Lists modules of more than 300 lines, as files have them, and functions of more than 40 lines of
code. These are goals, not laws.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "regard"
MODULE, FUNCTION = 300, 40


def code_lines(text: str, node: ast.AST) -> int:
    """Lines of a function that hold code."""
    skipped = set()
    for inner in ast.walk(node):
        body = getattr(inner, "body", None)
        if isinstance(body, list) and body and isinstance(inner, DOCUMENTED):
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                skipped |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = text.splitlines()
    first, last = node.lineno, node.end_lineno or node.lineno
    return sum(
        bool(lines[at - 1].strip()) and not lines[at - 1].lstrip().startswith("#")
        for at in range(first, last + 1)
        if at not in skipped
    )


DOCUMENTED = (ast.FunctionDef, ast.ClassDef)


def modules() -> Iterator[tuple[str, str]]:
    """The name and text of every module."""
    for file in sorted(SOURCE.rglob("*.py")):
        yield str(file.relative_to(SOURCE)), file.read_text()


def main() -> None:
    texts = dict(modules())
    long = {name: text.count("\n") for name, text in texts.items() if text.count("\n") > MODULE}
    functions = {
        f"{name}: {node.name}": code_lines(text, node)
        for name, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    }
    print(f"{sum(text.count(chr(10)) for text in texts.values())} lines in {len(texts)} modules")
    print(f"\nmodules of more than {MODULE} lines:")
    for name, lines in sorted(long.items(), key=lambda each: -each[1]):
        print(f"{lines:5} {name}")
    print(f"\nfunctions of more than {FUNCTION} lines of code, of {len(functions)}:")
    for name, lines in sorted(functions.items(), key=lambda each: -each[1]):
        if lines > FUNCTION:
            print(f"{lines:5} {name}")


if __name__ == "__main__":
    main()
