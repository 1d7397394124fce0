"""A real DINOv2-small, which `make real` makes, as we open it and as the library alone runs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reader import chromium

FOLDER = Path(__file__).parents[2] / ".real" / "dinov2-small"


@pytest.fixture(scope="session")
def folder() -> Path:
    if not FOLDER.is_dir():
        pytest.fail(f"there is no model in {FOLDER}; `make real` fetches it", pytrace=False)
    return FOLDER


@pytest.fixture(scope="session")
def vision(folder: Path) -> Any:
    import regard

    return regard.load(str(folder))


@pytest.fixture(scope="session")
def eager(folder: Path) -> Any:
    """The same weights, and attention as the library writes it out: no hook of ours is in it."""
    from transformers import Dinov2Model

    return Dinov2Model.from_pretrained(folder, attn_implementation="eager").eval()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    yield from chromium()
