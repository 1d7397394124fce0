"""What is said of images, by the names of their files: COCO's captions, or a table."""

import csv
from collections.abc import Sequence
from pathlib import Path

from regard.data.files import read_json, read_text, reason
from regard.errors import ArgumentError, DataError

FILE_COLUMNS = ("file_name", "file", "image", "picture")
TEXT_COLUMNS = ("prompt", "caption", "text")

LONGEST = 131072
"""Characters of one field of a table at most: what Python's csv reads unasked."""


def captions(file: str | Path) -> dict[str, tuple[str, ...]]:
    """What is said of each image, by the name of its file; perhaps several texts for one.

    Args:
        file: COCO's JSON with ``images`` and ``annotations``, as `write_coco` and COCO itself
            write captions; or CSV whose first line names a column ``file_name`` (or ``file``,
            ``image``, ``picture``) and a column ``prompt`` (or ``caption``, ``text``).

    Returns:
        Texts by file name, in the order of the file.

    Raises:
        DataError: the file is missing, or is neither.
    """
    path = Path(file)
    pairs = _of_coco(path) if path.suffix.lower() == ".json" else _of_csv(path)
    found: dict[str, tuple[str, ...]] = {}
    for name, said in pairs:
        found[Path(name).name] = (*found.get(Path(name).name, ()), said)
    if not found:
        raise DataError(f"captions: {path} holds no caption. Give one for each image.")
    return found


def captions_of(names: Sequence[str], said: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The texts of each of these images; 'a.png' is found under 'a.jpg' if need be.

    Raises:
        ArgumentError: one of them has none.

    Example:
        >>> captions_of(["b.png"], {"a.png": ("a cat",), "b.jpg": ("a dog",)})
        [('a dog',)]
    """
    # Images generated from the captions of photographs keep their names, not always their kind.
    stems = {Path(name).stem: texts for name, texts in said.items()}
    found = [said.get(name, stems.get(Path(name).stem, ())) for name in names]
    missing = [name for name, texts in zip(names, found, strict=True) if not texts]
    if missing:
        raise ArgumentError(
            f"captions: {len(missing)} of {len(names)} images have none, such as '{missing[0]}'. "
            f"Add them, or remove those images."
        )
    return found


def _of_coco(path: Path) -> list[tuple[str, str]]:
    content = read_json(path, who="captions")
    try:
        files = {each["id"]: each["file_name"] for each in content["images"]}
        pairs = [(files[each["image_id"]], each["caption"]) for each in content["annotations"]]
    except (KeyError, TypeError) as failed:
        raise _no_coco(path, f"{type(failed).__name__}: {failed}") from failed
    for name, text in pairs:
        if not isinstance(name, str) or not isinstance(text, str):
            raise _no_coco(path, f"a file_name is {name!r:.40} and its caption {text!r:.40}")
    return pairs


def _no_coco(path: Path, why: str) -> DataError:
    return DataError(
        f"captions: {path} lacks the layout of COCO captions ({why}). It needs images with id "
        f"and file_name, annotations with image_id and caption."
    )


def _of_csv(path: Path) -> list[tuple[str, str]]:
    text = read_text(path, who="captions")
    try:
        rows = list(csv.DictReader(text.splitlines(keepends=True)))
    except csv.Error as failed:
        raise DataError(
            f"captions: {path} is no table: {reason(failed)}. One field may have {LONGEST} "
            f"characters; write a caption in each row."
        ) from failed
    columns = list(rows[0]) if rows else []
    chosen = [
        next((name for name in names if name in columns), None)
        for names in (FILE_COLUMNS, TEXT_COLUMNS)
    ]
    file, said = chosen
    if file is None or said is None:
        raise DataError(
            f"captions: {path} has the columns {columns}; it needs one of "
            f"{', '.join(FILE_COLUMNS)} and one of {', '.join(TEXT_COLUMNS)}."
        )
    if any(not row[file] or not row[said] for row in rows):
        raise DataError(f"captions: {path} has a row without file or text. Fill it in.")
    return [(row[file], row[said]) for row in rows]
