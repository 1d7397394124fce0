"""Make the pictures that README and docs show, from the bundled models: docs/pictures/*.png.

python docs/make_pictures.py
"""

from pathlib import Path

from regard.data.prompts import prompts
from regard.data.scenes import HELD_OUT_SINGLES, scene
from regard.experiments.generation import draw
from regard.views import contact_sheet
from regard.zoo import load

FOLDER = Path(__file__).parent / "pictures"


def scenes() -> None:
    """Scenes of the test split with their captions."""
    shown = [scene(index, seed=77, split="test") for index in range(32)]
    sheet = contact_sheet([s.image for s in shown], [s.caption() for s in shown], scale=3)
    sheet.save(FOLDER / "scenes.png")


def generated() -> None:
    """Generated pictures: what was asked, and in brackets what the segmenter sees."""
    singles = [pair[number % 2] for number, pair in enumerate(HELD_OUT_SINGLES.values())]
    doubles = prompts()[::18][:16]
    drawn = draw(load("openmoji"), [(prompt, 0) for prompt in [*singles, *doubles]])
    captions = [f"{each.prompt} [{each.seen}]" for each in drawn]
    contact_sheet([d.image for d in drawn], captions, scale=3).save(FOLDER / "generated.png")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    scenes()
    generated()
