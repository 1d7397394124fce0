"""A person at a page, in a real browser."""

import base64
import io
import shutil
from collections.abc import Iterator
from copy import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def decoded(url: str) -> np.ndarray:
    """The pixels of a picture in a data URL, floats [y, x, 3]."""
    data = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float)


def chromium() -> Iterator[Any]:
    """A browser, if there is one; closed when it is no longer needed."""
    from playwright.sync_api import sync_playwright

    found = [path for path in map(shutil.which, NAMES) if path]
    if not found:
        raise FileNotFoundError(f"no browser: none of {', '.join(NAMES)} is in PATH")
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=found[0], args=FLAGS)
        yield opened
        opened.close()


class Reader:
    """A person at the page; whatever the console says or the network carries is kept."""

    def __init__(self, browser: Any, path: Path, fragment: str = "", **options: Any) -> None:
        self.tab = browser.new_page(**options)
        self.inside = ""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(path.as_uri() + fragment)
        self.settle()

    def within(self, selector: str) -> "Reader":
        """The same reader, looking at the viewer inside one element alone."""
        other = copy(self)
        other.inside = f"{selector} "
        return other

    def settle(self) -> None:
        """Wait until the page has drawn what was asked for."""
        self.tab.evaluate("() => new Promise((r) => requestAnimationFrame(() => setTimeout(r)))")
        self.tab.evaluate("() => new Promise((r) => requestAnimationFrame(() => setTimeout(r)))")

    def part(self, name: str) -> Any:
        return self.tab.locator(f'{self.inside}[data-part="{name}"]')

    def click(self, selector: str, **options: Any) -> None:
        self.tab.click(self.inside + selector, **options)
        self.settle()

    def word(self, name: str, **options: Any) -> None:
        self.click(f'[data-chip="{name}"]', **options)
        self.tab.mouse.move(1, 1)
        self.settle()

    def press(self, key: str) -> None:
        self.tab.keyboard.press(key)
        self.settle()

    def slide(self, axis: str, value: int) -> None:
        self.part(axis).fill(str(value))
        self.settle()

    def caption(self, name: str) -> str:
        return self.tab.inner_text(f'{self.inside}[data-caption="{name}"]')

    def panels(self) -> list[str]:
        read = "all => all.map(panel => panel.dataset.panel)"
        return self.tab.eval_on_selector_all(f"{self.inside}[data-panel]", read)

    def canvas(self, panel: str) -> Any:
        return self.tab.locator(f'{self.inside}[data-panel="{panel}"] canvas')

    def picture(self, panel: str) -> str:
        return self.canvas(panel).evaluate("canvas => canvas.toDataURL()")

    def colour(self, panel: str, v: float, u: float) -> list[int]:
        """The colour at a share of a panel's height and width."""
        # Read from a copy of one pixel: Chromium complains when a canvas on screen is read often.
        read = """(canvas, [v, u]) => {
            const copy = new OffscreenCanvas(1, 1).getContext("2d");
            const [x, y] = [Math.floor(u * canvas.width), Math.floor(v * canvas.height)];
            copy.drawImage(canvas, -x, -y);
            return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
        }"""
        return self.canvas(panel).evaluate(read, [v, u])

    def read_back(self, panel: str, grid: tuple[int, int]) -> list[int]:
        """Each patch as a place on the colour bar: the one whose colour is nearest to its mean."""
        shown = decoded(self.picture(panel))
        bar = decoded(self.part("ramp").evaluate("canvas => canvas.toDataURL()"))[0]
        # Where patches lie on a canvas whose sides are no multiple of them.
        down, across = (
            np.linspace(0, side, count + 1).round().astype(int)
            for side, count in zip(shown.shape, grid, strict=False)
        )
        read = []
        for top, bottom in pairwise(down):
            for left, right in pairwise(across):
                patch = shown[top + 1 : bottom - 1, left + 1 : right - 1]  # an edge may be mixed
                mean = patch.reshape(-1, 3).mean(0)
                read.append(int(((bar - mean) ** 2).sum(1).argmin()))
        return read

    def at(self, panel: str, v: float, u: float) -> tuple[float, float]:
        box = self.canvas(panel).bounding_box()
        return box["x"] + u * box["width"], box["y"] + v * box["height"]

    def point(self, panel: str, v: float, u: float) -> None:
        self.tab.mouse.move(*self.at(panel, v, u))
        self.settle()

    def ranks(self) -> list[tuple[str, float]]:
        read = "all => all.map(row => [row.dataset.rank, Number(row.dataset.value)])"
        found = self.tab.eval_on_selector_all(f"{self.inside}[data-rank]", read)
        return [(name, value) for name, value in found]
