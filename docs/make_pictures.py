"""Make what README and docs show from the bundled models: pictures and the confusion table.

python docs/make_pictures.py
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from regard import look, look_at, steer, sweep
from regard.data.drawings import SUBJECTS
from regard.data.prompts import prompts
from regard.data.scenes import HELD_OUT_SINGLES, scene
from regard.experiments.evaluations import generated as drawn
from regard.experiments.evaluations.scenes import confusion
from regard.experiments.sweep_report import figures_of
from regard.methods import drop
from regard.models import load
from regard.steering.table import finest_map
from regard.views import contact_sheet, differences
from regard.views.stamp import stamp

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
    wanted = [(prompt, 0) for prompt in [*singles, *doubles]]
    parts = [
        drawn.generated(wanted[n : n + drawn.GENERATED])
        for n in range(0, len(wanted), drawn.GENERATED)
    ]
    images = [image for part in parts for image in part.images]
    captions = [caption for part in parts for caption in part.labels]
    contact_sheet(images, captions, scale=3).save(FOLDER / "generated.png")


def steered() -> None:
    """What becomes of three words' maps when one is dropped."""
    done = steer("openmoji", "a lion and a blue car on the beach", [drop("car")], seed=0)
    words = ("lion", "car", "on")
    maps = {word: (finest_map(done.before, word), finest_map(done.after, word)) for word in words}
    pictures = tuple(np.asarray(each.image) for each in (done.before, done.after))
    differences(maps, images=pictures).savefig(FOLDER / "steered.png", metadata={"Software": None})


def swept() -> None:
    """What becomes of a picture without each attention layer."""
    found = sweep("openmoji", "a lion and a blue car", "layers", seeds=1)
    figures_of(found)["sheet-000-seed-0"].save(FOLDER / "swept.png")


def confusions(count: int = 2000) -> None:
    """What the segmenter takes each subject for, on single-subject test scenes."""
    table = confusion(count)
    names = [*SUBJECTS, "nothing"]
    lines = [
        "# What the segmenter takes each subject for",
        "",
        f"{count} single-subject scenes of the test split, never trained on. Where several",
        "subjects are reported, the largest counts. `python docs/make_pictures.py` makes it again.",
        "",
        "| subject | scenes | right | taken for |",
        "|---|---|---|---|",
    ]
    for true, row in zip(SUBJECTS, table, strict=True):
        wrong = {names[i]: int(n) for i, n in enumerate(row) if n and names[i] != true}
        listed = ", ".join(f"{name} {n}" for name, n in sorted(wrong.items(), key=lambda x: -x[1]))
        right = row[SUBJECTS.index(true)] / max(1, row.sum())
        lines.append(f"| {true} | {row.sum()} | {right:.1%} | {listed} |")
    (FOLDER.parent / "reference" / "segmenter.md").write_text("\n".join(lines) + "\n")


def page() -> None:
    """The page of one look, in headless Chromium."""
    with TemporaryDirectory() as place:
        prompt = "a cat and a blue car on the beach"  # as make demo does
        look("openmoji", prompt, seed=0, verify=True).save(Path(place) / "look")
        with sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            sheet = browser.new_page(viewport={"width": 1280, "height": 900})
            sheet.goto((Path(place) / "look" / "page.html").as_uri())
            sheet.click('[data-chip="car"]')
            sheet.screenshot(path=FOLDER / "page.png")
            browser.close()


def photographs() -> None:
    """Where the class token of a real DINOv2-small looks on photographs; `make real` first."""
    from skimage import data

    vision = load(str(FOLDER.parents[1] / ".real" / "dinov2-small"))
    plates = []
    for name, layer in (("chelsea", 8), ("astronaut", 11), ("coffee", 11), ("rocket", 8)):
        seen = look_at(vision, getattr(data, name)(), size=448, queries=["cls"])
        where = list(seen.trace.self_attention)[layer]
        heat = seen.trace.attention("cls", layers=[where])
        plates.append(stamp(seen.image, heat, title=f"{name}: where cls looks in layer {layer}"))
    wide, high = (max(plate.size[side] for plate in plates) for side in (0, 1))
    sheet = Image.new("RGB", (2 * wide, 2 * high), "white")
    for number, plate in enumerate(plates):
        sheet.paste(plate, (number % 2 * wide, number // 2 * high))
    small = sheet.resize((sheet.width * 5 // 8, sheet.height * 5 // 8), Image.Resampling.LANCZOS)
    small.quantize(256, dither=Image.Dither.NONE).save(FOLDER / "photographs.png", optimize=True)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for make in (scenes, generated, steered, swept, confusions, page, photographs):
        make()
