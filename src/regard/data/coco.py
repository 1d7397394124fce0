"""Scenes as a folder in the layout of COCO: images, captions and instance masks."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from regard.data.drawings import ANIMALS, SUBJECTS
from regard.data.scenes import Scene, Split, Version, scene
from regard.errors import ArgumentError, OutputError
from regard.saved.claim import claim
from regard.saved.folder import check_above, complete

LICENCE = {
    "id": 1,
    "name": "CC BY-SA 4.0 (drawings: OpenMoji)",
    "url": "https://creativecommons.org/licenses/by-sa/4.0/",
}


def write_coco(
    folder: Path,
    count: int,
    *,
    seed: int = 0,
    size: int | None = None,
    split: Split = "train",
    version: Version = 1,
    on_scene: Callable[[int], None] | None = None,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Write scenes 0 to ``count`` − 1 in the layout that COCO tools read.

    The folder gets ``SPLIT/000000000000.png`` ..., ``annotations/captions_SPLIT.json`` and
    ``annotations/instances_SPLIT.json``. Masks are uncompressed run lengths (column by column),
    boxes are x, y, width, height in pixels; each annotation also names the ``colour``.

    Args:
        folder: A folder that does not exist yet; it appears when all is written.
        count: How many scenes, 1 or more.
        seed: Names the data set, as in `regard.data.scenes.scene`.
        size: Pixels a side, as in `regard.data.scene`; None takes the smaller of two.
        split: 'train' or 'test'.
        version: Of the scenes, 1 or 2.
        on_scene: Called with the number of scenes written so far.
        finish: Called with the folder when all scenes are in it, to add what is to appear with
            them.

    Raises:
        ArgumentError: ``count`` is below 1.
        OutputError: the folder exists, cannot be written, or another process writes there;
            nothing is left of it then.
        MissingDependency: the drawings are not installed.

    Source:
        Lin et al. (2014), arXiv 1405.0312; format at https://cocodataset.org/#format-data.
    """
    if count < 1:
        raise ArgumentError(f"scenes: count is {count} and must be 1 or more.")
    target = Path(os.path.realpath(folder))
    _refuse(folder)

    def fill(fresh: Path) -> None:
        (fresh / split).mkdir(parents=True)
        (fresh / "annotations").mkdir()
        shown = (
            scene(index, seed=seed, size=size, split=split, version=version)
            for index in range(count)
        )
        about = f"regard scenes, version {version}, {split}, seed {seed}"
        _write(fresh, shown, split, {"description": about, "version": str(version)}, on_scene)
        if finish is not None:
            finish(fresh)

    check_above(target, who="scenes")
    with claim(target, who="scenes"):
        _refuse(folder)
        complete(target, fill, who="scenes")


def _refuse(folder: Path) -> None:
    if os.path.lexists(folder):
        raise OutputError(f"scenes: {folder} exists; name a folder that does not, or remove it.")


def _write(
    folder: Path,
    scenes: Iterable[Scene],
    split: Split,
    info: dict[str, str],
    on_scene: Callable[[int], None] | None,
) -> None:
    pictures: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    for index, each in enumerate(scenes):
        name, (height, width) = f"{index:012d}.png", each.image.shape[:2]
        Image.fromarray(each.image).save(folder / split / name)
        pictures.append(
            {"id": index, "file_name": name, "width": width, "height": height, "license": 1}
        )
        captions.append({"id": index, "image_id": index, "caption": each.caption()})
        instances += _instances(each, index, first=len(instances))
        if on_scene is not None:
            on_scene(index + 1)
    common = {"info": info, "licenses": [LICENCE], "images": pictures}
    _dump(folder / f"annotations/captions_{split}.json", {**common, "annotations": captions})
    _dump(
        folder / f"annotations/instances_{split}.json",
        {**common, "annotations": instances, "categories": categories()},
    )


def categories() -> list[dict[str, Any]]:
    """COCO's category list: ids 1 to 24 in the order of `regard.data.drawings.SUBJECTS`."""
    return [
        {"id": i, "name": name, "supercategory": "animal" if name in ANIMALS else "object"}
        for i, name in enumerate(SUBJECTS, start=1)
    ]


def _instances(each: Scene, image_id: int, *, first: int) -> list[dict[str, Any]]:
    return [
        {
            "id": first + i + 1,
            "image_id": image_id,
            "category_id": SUBJECTS.index(placed.mention.subject) + 1,
            "segmentation": {"size": list(placed.mask.shape), "counts": run_lengths(placed.mask)},
            "area": int(placed.mask.sum()),
            "bbox": list(placed.box),
            "iscrowd": 0,
            "colour": placed.mention.colour,
        }
        for i, placed in enumerate(each.placed)
    ]


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's run lengths: down the columns, alternating off and on, beginning with off.

    Example:
        >>> run_lengths(np.array([[True, False], [True, True]]))
        [0, 2, 1, 1]
    """
    flat = np.concatenate([[False], mask.T.ravel(), [not mask.T.ravel()[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(n) for n in np.diff(np.concatenate([[0], edges]))]


def _dump(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")))
