"""The language is the field's: no house words in docs, help texts, messages and docstrings.

``python tests/laws/test_house_words.py`` lists them by file and line.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "regard"

INSTEAD = {
    r"pictures?": "image",
    r"(draws?|drew|drawn)(?! (from (the|its) seed|(the initial )?noise))": "generate; sample",
    r"first noise": "initial noise",
    r"(prompt's|other|uncond\w*|cond\w*) half|half (of the guidance|that reads)": "conditional or "
    "unconditional branch",
    r"bare": "baseline",
    r"(picture|image|one|prompt|it) as it is": "baseline",
    r"keep away from": "guide away from; as a noun: negative prompt",
    r"push(es|ed)? away": "guide away from",
    r"in its turn": "one at a time; ablate",
    r"tak(e|es|en|ing) away": "ablate",
    r"puts? out": "output",
    r"carr(y|ies|ied) (over|on)": "inject; propagate",
    r"(is|are|was|were|be) looked at": "attended to",
    r"move(s|d)? the latents": "update the latents",
    r"evaluat(e|ed|ion)s? (once )?more": "forward pass",
    r"noise levels?": "timestep",
    r"in the open": "eager (explicit) softmax attention",
    r"anew": "again",
    r"mend(s|ed|ing)?": "fix",
    r"whoever|nobody|somebody|who asks": "name the component",
    r"how-manieth": "occurrence number",
    r"no numbers": "NaN or infinite",
    r"same breath|nowhere to go": "say it plainly",
    r"had of": "computed from",
    r"(has|have|had) not (?!been|\w+ed)": "lacks",
    r"that there (is|are|was|were)": "leave it out, or: that exist",
    r"told|tells?": "report; say; give",
    r"came out|comes out|come out": "result",
    r"leave [\w ]+ away": "omit",
    r"is so often|by itself": "say it plainly",
    r"verdicts? of the judges?|judges? (know|say|see)s?": "scorer",
    r"sees? in (a|the) (picture|image)": "detects",
    r"rooms?": "package",
    r"shall": "must; should",
}
"""House words, and what to write instead."""

EITHER = "|".join(f"(?:{word})" for word in INSTEAD)
ANY = re.compile(rf"\b({EITHER})\b".replace(" ", r"\s+"), re.I)


def pages() -> Iterator[Path]:
    """The pages that people write; the API reference has the docstrings once more."""
    yield ROOT / "README.md"
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if "api" not in page.relative_to(ROOT).parts:
            yield page


def prose(text: str) -> str:
    """Text without code, comments and the targets of links; lines stay where they are."""

    def blank(found: re.Match[str]) -> str:
        return "\n" * found[0].count("\n")

    for code in (r"^( *)```.*?^ *```", r"<!--.*?-->", r"``[^`]+``|`[^`]+`", r"\]\([^)]*\)"):
        text = re.sub(code, blank, text, flags=re.S | re.M)
    return text


def house_words(text: str) -> Iterator[tuple[int, str]]:
    """Line and word of every house word in some prose."""
    plain = prose(text)
    for found in ANY.finditer(plain):
        yield plain.count("\n", 0, found.start()) + 1, " ".join(found[0].split())


def told(file: Path) -> Iterator[tuple[int, str]]:
    """Docstrings, messages of errors and help texts of a module, with their lines."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text:
                # An example is code.
                yield node.body[0].lineno, re.sub(r"^ *(>>>|\.\.\.).*$", "", text, flags=re.M)
        elif isinstance(node, ast.Raise) or is_option(node):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.lineno, part.value


def is_option(node: ast.AST) -> bool:
    """Whether it is a call that declares an option or an argument of the command line."""
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Option", "Argument"))


def found() -> Iterator[tuple[str, Path, int, str]]:
    """Every house word: the page or package that it counts for, its file, its line and itself."""
    for page in pages():
        for line, word in house_words(page.read_text()):
            yield page.relative_to(ROOT).as_posix(), page, line, word
    for file in sorted(SOURCE.rglob("*.py")):
        inside = file.relative_to(SOURCE).parts
        owner = f"src/regard/{inside[0]}"
        for start, text in told(file):
            for line, word in house_words(text):
                yield owner, file, start + line - 1, word


def instead_of(word: str) -> str:
    """What to write for a house word."""
    return next(good for bad, good in INSTEAD.items() if re.match(bad, word + " ", re.I))


def test_no_page_and_no_docstring_has_a_house_word():
    where = [
        f"{file.relative_to(ROOT)}:{line}: '{word}'; write: {instead_of(word)}"
        for _, file, line, word in found()
    ]
    assert not where, "\n".join(where)


def test_a_house_word_is_found_in_prose_and_not_in_code():
    text = "# A Picture\n\n`picture` [drawn](bare.md)\n\n```python\npicture\n```\n\nIt was\ntold.\n"
    assert list(house_words(text)) == [(1, "Picture"), (3, "drawn"), (10, "told")]


def test_every_house_word_has_a_word_of_the_field():
    assert all(INSTEAD.values())
    assert instead_of("Drew").startswith("generate")


if __name__ == "__main__":
    for _, file, line, word in found():
        print(f"{file.relative_to(ROOT)}:{line}: {word} -> {instead_of(word)}")
