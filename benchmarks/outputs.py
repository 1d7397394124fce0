"""What every verb gives on fixed inputs, so that two commits can be compared number by number.

    python benchmarks/outputs.py record FILE [--only NAME]
    python benchmarks/outputs.py compare BEFORE AFTER

Record at one commit, and again at another on the same machine; a change of the code's shape may
change no number. Tables are compared by their columns' places, so that a column may be renamed.
"""

import argparse
import base64
import hashlib
import json
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

PROMPT, OTHER = "a cat and a blue car on the beach", "a lion and a yellow balloon"
SWAPPED = "a dog and a blue car on the beach"
TINY = "a cat and a dog on grass"
OLD = {"guidance_scale": 4.0}
"""What was the guidance of every model when outputs were first recorded."""

PLAIN = 1e-6
"""Largest difference, by the larger of 1 and the number itself, of what counts as equal."""

RUNS: dict[str, Callable[[], Any]] = {}


def run(make: Callable[[], Any]) -> Callable[[], Any]:
    """Note a run under its name."""
    RUNS[make.__name__] = make
    return make


# What is recorded of each kind of result


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """The numbers and texts of a result, by their path in it."""
    if isinstance(value, pd.DataFrame):
        columns = enumerate(value.items())
        return joined((f"{name}/{at}", list(column)) for at, (_, column) in columns)
    if isinstance(value, xr.DataArray):
        return {name: value.values}
    if isinstance(value, Image.Image):
        return {name: np.asarray(value)}
    if torch.is_tensor(value):
        return {name: value.detach().cpu().numpy()}
    if isinstance(value, np.ndarray):
        return {name: value}
    if isinstance(value, Mapping):
        return joined((f"{name}/{key}", each) for key, each in value.items())
    if isinstance(value, list | tuple):
        if value and all(isinstance(each, int | float | np.number) for each in value):
            return {name: np.array([float(each) for each in value])}
        return joined((f"{name}/{at}", each) for at, each in enumerate(value))
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return {name: np.array(float(value))}
    return {name: str(value)}


def joined(parts: Any) -> dict[str, Any]:
    """The leaves of several values."""
    found: dict[str, Any] = {}
    for name, each in parts:
        found |= leaves(each, name)
    return found


def of_look(seen: Any) -> dict[str, Any]:
    """Image, latents, maps, table, verification, and the bytes of the page."""
    trace = seen.trace
    found = {"image": seen.image, "maps": trace.word_maps, "weights": trace.self_attention}
    found |= {} if seen.latents is None else {"latents": seen.latents}
    if trace.word_maps:
        found |= {"table": trace.words().drop(columns=["notes"], errors="ignore")}
        found |= {"heat": {word: trace.heatmap(word) for word in trace.word_names}}
    else:
        found |= {"heat": trace.attention(trace.queries[0])}
    found |= {} if seen.verification is None else {"verification": seen.verification}
    recipe = ("weights_sha256", "seed", "size", "padding", "cut", "layouts", "prediction")
    found |= {name: trace.recipe[name] for name in recipe if name in trace.recipe}
    return found | {"page": page_of(trace)}


def page_of(trace: Any) -> dict[str, Any]:
    """The data of a page: bytes as numbers, all else as texts."""
    from regard.views.payload import payload

    told = payload(trace)
    kept = ("tiles", "lows", "spans", "peakPlaces", "peakValues", "colours", "before")
    data = {name: np.frombuffer(base64.b64decode(told[name]), np.uint8) for name in kept
            if name in told}  # fmt: skip
    # Which kind an entry is of came later than what the first outputs were recorded with.
    entries = [
        {name: each[name] for name in each if name not in ("of", "point")}
        for each in told["entries"]
    ]
    return data | {"words": json.dumps(entries, sort_keys=True)}


def of_steered(steered: Any) -> dict[str, Any]:
    """Both looks and the table."""
    return {
        "before": of_look(steered.before),
        "after": of_look(steered.after),
        "table": steered.table,
    }


# Models


def tiny_sd() -> Any:
    """A tiny Stable Diffusion."""
    import tiny

    return tiny.tiny_pipeline()


def tiny_xl() -> Any:
    """A tiny SDXL."""
    from diffusers import StableDiffusionXLPipeline

    import guided

    pipeline = StableDiffusionXLPipeline(**guided.xl())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_models() -> dict[str, Any]:
    """A tiny pipeline of each family."""
    import joint

    return {
        "sd": tiny_sd(),
        "xl": tiny_xl(),
        "sd3": joint.tiny_sd3_pipeline(),
        "flux": joint.tiny_flux_pipeline(),
    }


def picture(rows: int, columns: int) -> Image.Image:
    """Coloured noise."""
    draw = np.random.default_rng(0)
    return Image.fromarray(draw.integers(0, 256, (rows, columns, 3), dtype=np.uint8))


# The runs


@run
def look_bundled() -> Any:
    from regard import look

    return of_look(look("openmoji", PROMPT, seed=3, num_inference_steps=4, verify=2))


@run
def look_settings() -> Any:
    from regard import look
    from regard.methods import drop, prompt_to_prompt

    shape = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(5))
    ways: dict[str, dict[str, Any]] = {
        "negative": {"negative_prompt": "snow"},
        "unguided": {"guidance_scale": 1.0},
        "wide": {"height": 64, "width": 96},
        "one layer": {"keep": ("step",)},
        "words": {"words": ["cat", "car"]},
        "method": {"methods": [drop("blue")]},
        "other prompt": {"methods": [prompt_to_prompt(SWAPPED)]},
        "carriers": {"carriers": True},
    }
    found = {
        name: of_look(look("openmoji", PROMPT, num_inference_steps=3, **how))
        for name, how in ways.items()
    }
    try:
        found["latents"] = of_look(look("openmoji", PROMPT, num_inference_steps=3, latents=shape))
    except ValueError as refused:
        found["latents"] = str(refused)
    return found


@run
def look_families() -> Any:
    from regard import look

    return {
        name: of_look(
            look(
                model,
                TINY,
                **OLD,
                num_inference_steps=3,
                seed=2,
                negative_prompt="snow",
                verify=True,
            )
        )
        for name, model in tiny_models().items()
    }


@run
def look_at_pictures() -> Any:
    import visions
    from regard import look_at

    found = {"fashion-vit": of_look(look_at("fashion-vit", picture(28, 28)))}
    found["clip"] = of_look(look_at("openmoji-clip", picture(50, 70), queries=["cls"]))
    for name in visions.NAMES:
        with tempfile.TemporaryDirectory() as folder:
            made = visions.vision_folder(Path(folder) / "model", name)
            found[name] = of_look(look_at(str(made), picture(30, 44)))
    return found


@run
def steer_bundled() -> Any:
    from regard import methods as room
    from regard import steer

    ways = {
        "drop": [room.drop("car", where={"steps": [1, 3]})],
        "scale": [room.scale({"car": 2.0, "cat": 0.5}, renormalise=True)],
        "heads": [room.scale_heads(3, {0: 0.0, 1: 2.0})],
        "layers": [room.scale_layers(0.5, where={"stage": "up", "kind": "cross"})],
        "temperature": [room.temperature(0.7, where={"kind": "cross"})],
        "uniform": [room.uniform(where={"kind": "self", "stage": "mid"})],
        "identity": [room.identity(where={"stage": "mid", "condition": "both"})],
        "shuffled": [room.shuffled(1, where={"kind": "cross", "layers": "down_blocks.1"})],
        "pag": [room.perturbed_attention_guidance(3.0, adaptive=0.001)],
        "seg": [room.smoothed_energy_guidance(3.0, sigma=1.0)],
        "excite": [room.attend_and_excite(["cat", "car"])],
        "nudge": [room.nudge(["cat", "car"])],
        "noise": [room.choose_noise(["cat", "car"])],
        "p2p": [room.prompt_to_prompt(SWAPPED, local_blend=["cat", "dog"])],
        "two": [room.drop("blue"), room.temperature(1.5)],
    }  # fmt: skip
    found = {}
    for name, methods in ways.items():
        found[name] = of_steered(
            steer("openmoji", PROMPT, methods, num_inference_steps=4, keep=("layer",))
        )
    return found


@run
def steer_families() -> Any:
    from regard import steer
    from regard.methods import drop, nudge, scale, smoothed_energy_guidance

    found = {}
    for name, model in tiny_models().items():
        extra = [nudge(["cat"])] if name in ("sd", "xl") else []
        methods = [drop("dog"), scale({"cat": 2.0}), *extra]
        found[name] = of_steered(
            steer(model, TINY, methods, **OLD, num_inference_steps=3, keep=("layer",))
        )
        where = {"layers": 0} if name in ("sd", "xl") else {}
        guide = [smoothed_energy_guidance(2.0, where=where)]
        try:
            found[f"{name} guide"] = of_steered(
                steer(model, TINY, guide, **OLD, num_inference_steps=3)
            )
        except ValueError as refused:
            found[f"{name} guide"] = str(refused)
    return found


@run
def replayed() -> Any:
    from regard import steer
    from regard.methods import drop
    from regard.steering import replay

    first = steer("openmoji", PROMPT, [drop("car")], num_inference_steps=3)
    return of_steered(replay("openmoji", first.recipe))


@run
def learned_weights() -> Any:
    from regard.data import scene
    from regard.steering import learn_word_weights

    learned = learn_word_weights(
        "openmoji", "a cat", scene(0).image, seeds=2, iterations=3, batch=2, held_out=4
    )
    return {"table": learned.table, "losses": learned.losses}


@run
def swept() -> Any:
    from regard import sweep

    found = {}
    # Keys are those of the first recording.
    for name in ("heads", "layers", "words", "places"):
        over = "stages" if name == "places" else name
        made = sweep("openmoji", PROMPT, over, seeds=1, num_inference_steps=2)
        found[name] = {"table": made.table, "summary": made.summary()}
    made = sweep(
        tiny_sd(),
        [TINY, "a dog"],
        "heads",
        seeds=[1, 4],
        **OLD,
        num_inference_steps=3,
        during=[1, 3],
    )
    found["tiny"] = {"table": made.table, "summary": made.summary()}
    return found


@run
def benchmarked() -> Any:
    from regard.experiments.benchmark import benchmark

    made = benchmark(
        methods=["attend-and-excite", "nudge every=3"],
        prompts=["a cat and a dog", "a bear with a glasses"],
        seeds=2,
        num_inference_steps=3,
    )
    table = made.table.drop(columns=[name for name in made.table if "second" in name])
    table["method"] = table["method"].replace("baseline", "bare")  # as it was first recorded
    return {"table": table}


@run
def scored() -> Any:
    from regard.data import scene
    from regard.data.pictures import pictures
    from regard.experiments.score import score

    with tempfile.TemporaryDirectory() as room:
        folders = [Path(room) / name for name in ("ours", "theirs")]
        said: dict[str, tuple[str, ...]] = {}
        for number, folder in enumerate(folders):
            folder.mkdir()
            for index in range(24):
                made = scene(index + 100 * number)
                Image.fromarray(np.asarray(made.image)).save(folder / f"{index:03}.png")
                said[f"{index:03}.png"] = (made.caption(),)
        ours, theirs = (pictures(folder) for folder in folders)
        found = score(ours, against=theirs, said=said)
    return {"table": found.table, "images": found.images}


@run
def evaluated() -> Any:
    from regard.experiments import evaluate

    names = ("openmoji-autoencoder", "openmoji-clip", "openmoji-segmenter", "openmoji-captioner")
    return {name: dict(evaluate(name, quick=True).figures) for name in names}


@run
def studied() -> Any:
    import fashion
    from regard.experiments.studies import redundancy, vit
    from regard.experiments.studies.removal_plan import PromptBudget

    made = {
        "vit": vit(fashion.knowing(), fashion.clothes(), budget=fashion.TINY),
        "redundancy": redundancy(budget=PromptBudget(prompts=2, planted=1, seeds=(0,), steps=2)),
    }
    return {name: {"findings": each.findings, "tables": each.tables} for name, each in made.items()}


@run
def explained_images() -> Any:
    from explained import classifier, pictures
    from regard.explain import explain_image, explanations

    images, found = pictures(), {}
    for name in explanations:
        found[name] = explanations.get(name)(classifier(), images, [0, 2])
    found["whole"] = explain_image("fashion-vit", picture(28, 28), "relevance").maps
    return found


@run
def explained_curves() -> Any:
    from explained import classifier, pictures
    from regard import explain

    model, images = classifier(), pictures()
    heat = explain.explanations.get("relevance")(model, images, [0, 2])
    return {
        "deletion": explain.deletion(model, images, heat, [0, 2]),
        "insertion": explain.insertion(model, images, heat, [0, 2]),
        "class": explain.class_sensitivity(model, images, ["relevance"], [0, 2]),
        "random": explain.model_randomisation(model, images, ["relevance"], [0, 2]),
        "faithful": explain.faithfulness(model, images, ["relevance", "rollout"], [0, 2]),
    }


@run
def explained_prompts() -> Any:
    from regard import explain

    model = tiny_sd()
    return {
        "rollout": explain.word_rollout("openmoji", PROMPT, num_inference_steps=2),
        "propagated": explain.propagated_words("openmoji", PROMPT, num_inference_steps=2),
        "gradients": explain.word_gradients("openmoji", PROMPT, num_inference_steps=2, points=4),
        "through": explain.word_gradients(
            "openmoji", "a cat", num_inference_steps=2, points=4, through_encoder=True
        ),
        "regions": explain.word_regions(
            "openmoji", PROMPT, words=["cat", "car"], num_inference_steps=3
        ),
        "word": explain.knock_out("openmoji", PROMPT, explain.Word("car"), num_inference_steps=2),
        "head": explain.knock_out(
            "openmoji", PROMPT, explain.Head("car", "mid_block", 0), num_inference_steps=2
        ),
        "deletion": explain.word_deletion(
            "openmoji", PROMPT, {"cat": 0.5, "car": 0.4, "blue": 0.1}, num_inference_steps=2
        ),
        "tiny": explain.word_rollout(model, TINY, **OLD, num_inference_steps=2),
        "prompt": explain.explain_prompt(
            "openmoji", "a cat", words=["cat"], num_inference_steps=2
        ).maps,
    }


@run
def measured() -> Any:
    from regard.measures import over_trace
    from regard.trace import toy_trace, toy_vision

    words = ["entropy", "gini", "centre", "extent", "coverage", "head_diversity"]
    queries = ["entropy", "gini", "attention_distance", "sink_mass"]
    return {
        "words": over_trace(toy_trace(), words),
        "queries": over_trace(toy_vision(), queries),
    }


@run
def saved_folders() -> Any:
    from regard import look, look_at, steer
    from regard.methods import drop
    from regard.trace import Trace

    with tempfile.TemporaryDirectory() as room:
        folder = Path(room)
        look("openmoji", "a cat", num_inference_steps=2).save(folder / "look")
        look_at("fashion-vit", picture(28, 28)).save(folder / "at")
        steer("openmoji", "a cat", [drop("cat")], num_inference_steps=2).save(folder / "steer")
        names = sorted(str(each.relative_to(folder)) for each in folder.rglob("*.*")
                       if "zarr/" not in str(each))  # fmt: skip
        pictures = {name: Image.open(folder / name).copy() for name in names
                    if name.endswith(".png")}  # fmt: skip
        trace = Trace.load(folder / "look" / "trace.zarr")
        again = {"maps": trace.word_maps, "table": trace.words()}
    return {"names": "\n".join(names), "pictures": pictures, "trace": again}


# Recording and comparing


def record(file: Path, only: str | None) -> int:
    """Run everything and write the leaves down."""
    torch.set_num_threads(1)
    numbers: dict[str, np.ndarray] = {}
    texts: dict[str, str] = {}
    failed = 0
    for name, make in RUNS.items():
        if only is not None and only not in name:
            continue
        try:
            found = leaves(make(), name)
        except Exception:
            print(f"{name}: failed\n{traceback.format_exc()}", flush=True)
            failed += 1
            continue
        for path, value in found.items():
            (texts if isinstance(value, str) else numbers)[path] = value
        print(f"{name}: {len(found)} values", flush=True)
    numbers["texts"] = np.array(json.dumps(texts))
    np.savez_compressed(file, **numbers)
    return failed


def compare(before: Path, after: Path) -> int:
    """Say what differs; the number of values that do."""
    first, second = (dict(np.load(each)) for each in (before, after))
    said, now = (json.loads(str(each.pop("texts"))) for each in (first, second))
    missing, new = sorted(first.keys() - second.keys()), sorted(second.keys() - first.keys())
    apart = [name for name in first.keys() & second.keys() if not equal(first[name], second[name])]
    exact = sum(
        first[n].shape == second[n].shape and np.array_equal(first[n], second[n], equal_nan=True)
        for n in first.keys() & second.keys()
    )
    words = [name for name in said.keys() & now.keys() if said[name] != now[name]]
    print(f"{len(first)} arrays before, {len(second)} after; {exact} equal bit for bit")
    for title, names in (("missing", missing), ("new", new), ("different", sorted(apart))):
        print(f"{title}: {len(names)}")
        for name in names[:40]:
            print(f"  {name} {difference(first.get(name), second.get(name))}")
    print(f"texts that differ: {len(words)} of {len(said)}")
    for name in sorted(words)[:60]:
        print(f"  {name}: {said[name][:100]!r} -> {now[name][:100]!r}")
    return len(missing) + len(apart)


def equal(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays agree to `PLAIN`."""
    if one.shape != other.shape:
        return False
    if one.dtype.kind not in "fiub":
        return bool((one == other).all())
    return bool(np.allclose(one, other, rtol=PLAIN, atol=PLAIN, equal_nan=True))


def difference(one: np.ndarray | None, other: np.ndarray | None) -> str:
    """How far apart two arrays are, in a few words."""
    if one is None or other is None:
        return ""
    if one.shape != other.shape:
        return f"{one.shape} -> {other.shape}"
    gap = np.abs(one.astype(float) - other.astype(float))
    return f"up to {np.nanmax(gap):.3g}, hash {hashlib.sha256(other.tobytes()).hexdigest()[:8]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    ways = parser.add_subparsers(dest="way", required=True)
    one = ways.add_parser("record")
    one.add_argument("file", type=Path)
    one.add_argument("--only")
    two = ways.add_parser("compare")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    asked = parser.parse_args(arguments)
    if asked.way == "record":
        return record(asked.file, asked.only)
    return compare(asked.before, asked.after)


if __name__ == "__main__":
    raise SystemExit(main())
