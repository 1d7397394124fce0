"""Wrong calls of public functions end in an error of our own, on one line, before a model runs.

The table is literal: a function, what is wrong, and nothing else. The checks of types that tests
run under are off here, as they are for users.
"""

import functools
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

import regard
import tiny
from explained import classifier, pictures
from looks import pipeline
from regard import explain, methods
from regard.data import scene
from regard.errors import RegardError
from regard.experiments.benchmark import benchmark
from regard.experiments.compare import compare
from regard.look import verify
from regard.measures import measures
from regard.models import TextToImage
from regard.steering import learn_word_weights, replay
from regard.tap import HeatMap, Select, Tap, attention_layers
from regard.trace import toy_trace, toy_vision
from unchecked import no_type_checks


def even():
    return xr.DataArray(np.full((2, 4), 0.25), dims=["query", "key"])


def plane():
    return xr.DataArray([[0.0, 1.0], [0.5, 0.2]], dims=["y", "x"])


def digit():
    return np.zeros((28, 28), np.uint8)


def square():
    return np.zeros((16, 16, 3), np.uint8)


def other():
    """The pipeline of these tests under another name."""
    return replace(TextToImage.of(pipeline()), name="other")


@functools.cache
def toy_look():
    return regard.look(pipeline(), TEXT, num_inference_steps=1)


TEXT = "a cat on grass"
NAN, INF = float("nan"), float("inf")

PROMPTS = [None, 3, True, b"a cat", ["a cat", "a dog"], [], "", "  ", "\ud800", {"a": 1}]
SEEDS = [-1, 1.5, "0", None, [0, 1], True, 2**63, NAN, np.array([1, 2])]
STEPS = [0, -1, 2.5, 2.0, NAN, "4", True, [4], 10**9]
GUIDANCE = [NAN, INF, -1, "4", True, [4], 4j]
SIZES = [(64, 64, 64), "64", 0, 1.5, (16,), True, (16, "16"), -16, (16, 0), 17, {"a": 1}]
LISTED = [str({"prompt": PROMPTS[4]}), str({"seed": SEEDS[4]}), str({"seed": SEEDS[8]})]
"""Lists that `look` takes and other verbs refuse."""

NOISES = [
    3,
    "noise",
    np.zeros((1, 4, 8, 8)),
    torch.zeros(4, 8, 8),
    torch.zeros(1, 4, 9, 8),
    torch.zeros(1, 3, 8, 8),
    torch.zeros(2, 4, 8, 8),
    torch.full((1, 4, 8, 8), NAN),
    torch.zeros(1, 4, 8, 8, dtype=torch.int64),
]
LISTS = [methods.drop("cat"), [3], ["drop"], 3, "drop", [methods.drop], [None], [[]]]


def each(name, values):
    return [{name: value} for value in values]


GENERATED = [
    *each("prompt", PROMPTS),
    *each("seed", SEEDS),
    *each("num_inference_steps", STEPS),
    *each("guidance_scale", GUIDANCE),
    *each("height", SIZES),
    *each("width", SIZES),
    *each("negative_prompt", [None, 3, ["x"]]),
    *each("latents", NOISES),
    *each("methods", LISTS),
    *each("progress", [3, "bar"]),
    *each("keep", ["step", ["layers"], 3, [None], None]),
    *each("self_attention", ["cat", [], 3, True, [(0.5, 1.5)], {"layers": "nobody"}, {"patch": 1}]),
    *each("model", [None, 3, torch.nn.Linear(1, 1), "nowhere", b"openmoji", [], object()]),
]

SEVERAL = [
    *each("prompt", [["a cat", 3], ["a cat", ""], (), {"a cat"}]),
    *each("seed", [[], [0, "1"], [0, -1], [True], np.array([0.5])]),
    {"prompt": ["a cat", "a dog"], "seed": [0, 1, 2]},
    {"prompt": ["a cat", "a dog"], "negative_prompt": ["x", "y"]},
]
"""Several images of one call, which `look` takes."""

LOOK = [
    *[wrong for wrong in GENERATED if str(wrong) not in LISTED],
    *SEVERAL,
    *each("words", ["cat", [], [3], ["dog"], 3, {"cat": 1}, [None]]),
    *each("verify", ["yes", -1, 1.5, None, NAN]),
]

LOOK_AT = [
    *each("model", [None, 3, torch.nn.Linear(1, 1), "nowhere", b"fashion-vit", []]),
    *each("image", [None, 3, "no-such-file.png", b"", [], np.zeros(3), np.zeros((2, 2, 2, 2))]),
    *each("size", [(28, 28, 28), "28", 0, 1.5, True, -28, (28,), 29]),
    *each("queries", ["cls", [], [3], ["nobody"], 3]),
]

SWEEP = [
    *each("prompts", [None, 3, [], [3], ["a", "a"], b"a cat", [""], {"a": 1}, True]),
    *each("over", ["head", 3, None, ["heads"]]),
    *each("seeds", [0, -1, 1.5, "1", [], [0, 0], [1.5], True, None, [-1]]),
    *each("num_inference_steps", STEPS),
    *each("guidance_scale", GUIDANCE),
    *each("during", ["0", 1.5, [0, 1, 2], [3, 1], 99, True, -1]),
    *each("encoder", [3, "nowhere"]),
    *each("store", [3, True]),
]

BENCHMARK = [
    *each("methods", [3, [], [3], "nudge", ["nowhere"], ["nudge", "nudge"], ["drop x=1"], None]),
    *each("prompts", [3, [], ["a cat"], "a cat and a dog", [3]]),
    *each("seeds", [0, -1, 1.5, "1", None, True, [0]]),
    *each("num_inference_steps", STEPS),
    *each("guidance_scale", GUIDANCE),
]

COMPARE = [
    *each("models", [None, 3, "openmoji", ["openmoji"], [], ["openmoji", "nowhere"], [3, 4]]),
    *each("models", [{}, {"a": "openmoji"}, {1: "openmoji", 2: "openmoji"}]),
    *each("prompts", [3, [], "a cat", ["a cat", "a cat"], ["a cat", 3], [""], True]),
    *each("seeds", [0, -1, 1.5, "1", None, True, [0]]),
    *each("num_inference_steps", STEPS),
    *each("guidance_scale", GUIDANCE),
]

LEARN = [
    *each("prompt", PROMPTS),
    *each("target", [None, 3, "no-such-file.png", np.zeros(3)]),
    *each("words", ["cat", [], [3], ["dog"]]),
    *(each(name, [0, -1, 1.5, "1", None, True]) for name in ("seeds", "iterations", "groups")),
    *each("rate", [0, -1, NAN, INF, "1", None, True]),
    *each("decay", [-1, NAN, "1", None]),
]
LEARN = [*itertools.chain(*(entry if isinstance(entry, list) else [entry] for entry in LEARN))]

EXPLAINED = [
    *each("model", [None, 3, "nowhere", torch.nn.Linear(1, 1), b"x"]),
    *each(
        "pixels",
        [
            None,
            3,
            "x",
            np.zeros((1, 3, 24, 24)),
            torch.zeros(3, 24, 24),
            torch.zeros(0, 3, 24, 24),
            torch.zeros(1, 3, 24, 24, dtype=torch.int64),
            torch.full((1, 3, 24, 24), NAN),
        ],
    ),
    *each("target", ["cat", 1.5, torch.tensor([99]), torch.tensor([0, 1]), torch.tensor([-1])]),
    *each("score", [3, "logit"]),
]

with no_type_checks():
    NO_WORD = explain.Word(3)

RUN = {"prompt": TEXT, "num_inference_steps": 1}
TABLE = [
    *[(regard.look, lambda: {"model": pipeline(), **RUN}, wrong) for wrong in LOOK],
    *[
        (
            regard.steer,
            lambda: {"model": pipeline(), **RUN, "methods": [methods.drop("cat")]},
            wrong,
        )
        for wrong in [*GENERATED, {"methods": []}]
    ],
    *[
        (regard.look_at, lambda: {"model": "fashion-vit", "image": digit()}, wrong)
        for wrong in LOOK_AT
    ],
    *[
        (
            regard.sweep,
            lambda: {"model": pipeline(), "prompts": TEXT, "num_inference_steps": 1, "seeds": 1},
            wrong,
        )
        for wrong in SWEEP
    ],
    *[
        (benchmark, lambda: {"model": pipeline(), "methods": ["nudge"], "seeds": 1}, wrong)
        for wrong in BENCHMARK
    ],
    *[
        (compare, lambda: {"models": [pipeline(), other()], "prompts": [TEXT]}, wrong)
        for wrong in [*COMPARE, {"models": [pipeline(), pipeline()]}]
    ],
    *[
        (
            learn_word_weights,
            lambda: {"model": pipeline(), "prompt": TEXT, "target": square(), "iterations": 1},
            wrong,
        )
        for wrong in LEARN
    ],
    *[
        (verify, lambda: {"model": pipeline(), "look": toy_look()}, wrong)
        for wrong in [
            *each("look", [None, 3, "x"]),
            *each("seeds", [0, -1, 1.5, "2", None, True]),
        ]
    ],
    *[
        (regard.load, dict, {"name_or_folder": wrong})
        for wrong in (None, 3, "", b"openmoji", "nowhere", [])
    ],
    *[
        (replay, lambda: {"model": pipeline()}, {"recipe": wrong})
        for wrong in (None, 3, "nowhere.json", [], {}, {"format": "regard-steering"})
    ],
    *[
        (
            explain.explanations.get(name),
            lambda: {"model": classifier(), "pixels": pictures(1)},
            wrong,
        )
        for name in explain.explanations.names()
        for wrong in EXPLAINED
    ],
    *[
        (explain.explain_image, lambda: {"model": "fashion-vit", "image": digit()}, wrong)
        for wrong in [
            *each("image", [None, 3, "nowhere.png", [], np.zeros((28, 28))]),
            *each("method", [None, 3, "rolout", ["rollout"]]),
            *each("target", ["Spoon", 1.5, -1, 99, [0], True]),
            *each("model", [None, 3, "nowhere"]),
        ]
    ],
    *[
        (explain.explain_prompt, lambda: {"model": pipeline(), **RUN}, wrong)
        for wrong in each("method", [None, 3, "rollout", ["word_rollout"]])
    ],
    *[
        (function, lambda: {"model": pipeline(), **RUN}, wrong)
        for function in (
            *(explain.word_explanations.get(name) for name in explain.word_explanations),
            explain.explain_prompt,
        )
        for wrong in [
            *each("model", [None, 3, "nowhere"]),
            *each("prompt", PROMPTS[:6]),
            *each("words", [3, ["bird"], [3], [None], b"cat"]),
            *each("num_inference_steps", STEPS[:4]),
        ]
    ],
    *[
        (explain.word_rollout, lambda: {"model": pipeline(), **RUN}, wrong)
        for wrong in each("residual", [-1, 2, NAN, "1", None, True])
    ],
    *[
        (explain.propagated_words, lambda: {"model": pipeline(), **RUN}, wrong)
        for wrong in [
            *each("power", [-1, 1.5, "1", None, True]),
            *each("gamma", [0, NAN, "1", None]),
            *each("grid", [3, "8x8", (0, 8), (8,)]),
        ]
    ],
    *[
        (explain.word_regions, lambda: {"model": pipeline(), **RUN}, wrong)
        for wrong in [
            *each("carriers", [3, "yes"]),
            *each("layers", [True, 1.5, [], "nowhere"]),
            *each("through", [True, 1.5, [], "nowhere"]),
        ]
    ],
    *[
        (
            explain.word_deletion,
            lambda: {"model": pipeline(), **RUN, "blame": {"cat": 0.9, "grass": 0.1}},
            wrong,
        )
        for wrong in [
            *each("blame", [None, 3, ["cat"], {}, {"cat": 1.0}, {"cat": "1", "grass": 2.0}]),
            *each("orders", [9, 10.5, "10", None, True]),
        ]
    ],
    *[
        (
            explain.faithfulness,
            lambda: {"model": classifier(), "pixels": pictures(1), "methods": "random"},
            wrong,
        )
        for wrong in [
            *each("methods", [None, 3, [], "rolout"]),
            *each("orders", [9, 10.5, "10", None, True]),
            *each("seed", [-1, 1.5, "0", None]),
            *each("substrate", ["x", 3, None]),
            *each("steps", [0, -1, 1.5, "2", True]),
        ]
    ],
    *[
        (
            explain.class_sensitivity,
            lambda: {"model": classifier(), "pixels": pictures(1), "methods": "random"},
            wrong,
        )
        for wrong in [*each("methods", [None, 3, []]), *each("seed", [-1, 1.5, "0", None])]
    ],
    *[
        (
            explain.explanations.get("attention"),
            lambda: {"model": classifier(), "pixels": pictures(1)},
            wrong,
        )
        for wrong in [
            *each("layer", [99, "nowhere", 1.5, True, None, [0], "vit"]),
            *each("heads", ["0", 1.5, [9], [True], [], [None], True]),
            *each("query", ["nobody", 3, (1,), (99, 0), (0.5, 0), [None, 1], True]),
        ]
    ],
    *[
        (
            explain.explanations.get("rollout"),
            lambda: {"model": classifier(), "pixels": pictures(1)},
            wrong,
        )
        for wrong in [
            *each("fusion", ["sum", 3, None]),
            *each("residual", [-1, 2, NAN, "1", None, True]),
            *each("discard", [-1, 1.5, NAN, "0", None]),
            *each("start_layer", [99, 1.5, "0", True]),
        ]
    ],
    *[
        (
            explain.knock_out,
            lambda: {"model": pipeline(), **RUN, "blame": explain.Word("cat")},
            w,
        )
        for w in [
            *each(
                "blame",
                [
                    None,
                    3,
                    "cat",
                    explain.Word("dog"),
                    explain.Head("cat", "nowhere", 0),
                    explain.Head("cat", 0, 99),
                    NO_WORD,
                ],
            ),
            *each("controls", [0, 1.5, "4", None]),
            *each("share", [0, 1, NAN, "1", None, True]),
            *each("model", [None, 3, "nowhere"]),
            *each("prompt", PROMPTS[:6]),
        ]
    ],
    *[
        (toy_trace().heatmap, lambda: {"word": "cat"}, wrong)
        for wrong in [
            *each("word", [None, 3, ["cat"], "", "bird", b"cat"]),
            *each("steps", ["20", True, 1.5, NAN, [None], [[0]], 99, [], {"a": 1}, b"0"]),
            *each("heads", ["13", True, 1.5, [None], -99, np.array([[0]])]),
            *each("layers", [True, 1.5, [], [None], "nowhere", 99, "", [["mid"]], object()]),
            *each("grid", [3, "4x4", (4,), (0, 4), (1.5, 4), (4, 4, 4), True, (4, None)]),
        ]
    ],
    *[
        (toy_trace().token_maps, dict, wrong)
        for wrong in each("tokens", [3.5, "cat", [99], [None], [True], slice(0, 2)])
    ],
    *[(toy_trace().tokens_of, dict, {"word": wrong}) for wrong in (None, 3, [], "bird", b"cat")],
    *[
        (toy_vision().attention, dict, wrong)
        for wrong in [
            *each("query", [None, 3, "nobody", (9, 9), (1,), (1.5, 0), [True, 0], b"cls"]),
            *each("layers", [True, "nowhere", [], 99]),
            *each("heads", ["0", 9, True]),
            *each("steps", ["0", 9, NAN]),
        ]
    ],
    *[
        (toy_trace().save, dict, {"path": wrong})
        for wrong in (None, 3, "no/such/folder/x.zarr", "")
    ],
    *[(regard.Trace.load, dict, {"path": wrong}) for wrong in (None, 3, "nowhere.zarr", "")],
    *[
        (Tap, lambda: {"model": tiny.tiny_vit()}, wrong)
        for wrong in [
            *each("model", [None, 3, "openmoji", []]),
            *each("observe", [[3], 3, [(Select(), 3)], print, [(3, print)], None, "x"]),
            *each("edit", [[3], 3, print, None]),
            *each("layout", [3, "x"]),
        ]
    ],
    *[
        (Select, dict, wrong)
        for wrong in [
            *each("steps", [NAN, "3", True, [1.5]]),
            *each("layers", [True, 1.5, [], [None]]),
            *each("kind", ["X", 3]),
            *each("stage", ["top", 3]),
            *each("sample", [-1, "0", 1.5]),
            *each("when", [3]),
            *each("condition", [3]),
            *each("query", [3]),
        ]
    ],
    *[
        (HeatMap, lambda: {"tokens": [1]}, wrong)
        for wrong in [
            *each("tokens", [[], [-1], None, "1", [1.5], -3, [True]]),
            *each("keep", ["step", ["layers"], None, 3]),
        ]
    ],
    *[(attention_layers, dict, {"model": wrong}) for wrong in (None, 3, "openmoji")],
    *[
        (methods.drop, dict, {"words": wrong})
        for wrong in (None, 3, [], [3], [""], b"cat", {}, True)
    ],
    *[
        (methods.Where, dict, wrong)
        for wrong in [
            *each("steps", ["0", 1.5, [0], [3, 1], -1, True, [None, 2], NAN, {"a": 1}]),
            *each("steps", [range(0, 9, 2)]),
            *each("layers", [True, 1.5, [], [None], {"a": 1}]),
            *each("stage", ["top", 3]),
            *each("kind", ["X", 3, True]),
            *each("condition", ["half", None, 3]),
        ]
    ],
    *[
        (methods.drop, lambda: {"words": "cat"}, {"where": wrong})
        for wrong in (None, 3, "up", {"steps": "0"}, {"at": 3}, {3: 3}, {"kind": "self"}, [0, 1])
    ],
    *[
        (methods.drop, lambda: {"words": "cat"}, wrong)
        for wrong in [*each("steps", [[0, 1]]), *each("kind", ["self"])]
    ],
    *[
        (methods.parse, dict, {"text": wrong})
        for wrong in (
            *(None, 3, "", " ", "nowhere", "drop", "drop cat", "drop words", "drop words="),
            *("drop words=[", "drop words=cat words=dog", "drop words=cat at=3", "drop words=,"),
            *("drop words=cat steps=x", "drop words=cat kind=self", "temperature factor={}"),
        )
    ],
    *[(methods.options_of, dict, {"name": wrong}) for wrong in ("nowhere", "scale_heads")],
    *[
        (methods.scale, dict, {"weights": wrong})
        for wrong in (
            None,
            3,
            {},
            {"cat": NAN},
            {"cat": "2"},
            {"cat": None},
            {3: 2.0},
            ["cat"],
            {"cat": True},
            "cat",
        )
    ],
    *[
        (methods.scale_heads, lambda: {"layer": "mid", "factors": {0: 0.0}}, wrong)
        for wrong in [
            *each(
                "factors",
                [
                    None,
                    3,
                    {},
                    {"x": 0.0},
                    {0: "0"},
                    {0.5: 1.0},
                    {0: NAN},
                    [0],
                    {-1: 0.0},
                    {True: 1.0},
                ],
            ),
            *each("layer", [None, 1.5, True, ["mid"]]),
        ]
    ],
    *[
        (methods.scale_layers, dict, {"factor": wrong})
        for wrong in (None, "0", NAN, INF, True, [0])
    ],
    *[(methods.temperature, dict, {"factor": w}) for w in (None, "1", NAN, INF, 0, -1, True, [1])],
    *[
        (methods.temperature, lambda: {"factor": 2.0}, {"where": wrong})
        for wrong in ({"kind": "X"}, {"stage": "top"}, [])
    ],
    *[(methods.shuffled, dict, {"seed": wrong}) for wrong in (-1, 1.5, "0", None, True, 2**70)],
    *[
        (make, dict, {"scale": wrong})
        for make in (methods.perturbed_attention_guidance, methods.smoothed_energy_guidance)
        for wrong in (None, "3", NAN, INF, True, [3])
    ],
    *[
        (methods.perturbed_attention_guidance, dict, {"adaptive": wrong})
        for wrong in (None, "1", NAN, -1, True)
    ],
    *[
        (methods.smoothed_energy_guidance, dict, {"sigma": w})
        for w in (None, "1", NAN, 0, -1, True)
    ],
    *[
        (methods.attend_and_excite, lambda: {"words": ["cat", "dog"]}, wrong)
        for wrong in [
            *each("words", [None, 3, [], [3]]),
            *each("steps", ["0", 1.5, True]),
            *each("scale_factor", ["20", NAN, None, True]),
            *each("scale_range", [None, 3, [1], "ab"]),
            *each("thresholds", [3, "x", {"x": 1}, {0: "x"}]),
            *each("grid", ["x", 0, (1,), 1.5]),
        ]
    ],
    *[
        (methods.nudge, lambda: {"words": ["cat"]}, wrong)
        for wrong in [*each("words", [None, 3, []]), *each("steps", ["0", 1.5, True])]
    ],
    *[
        (methods.prompt_to_prompt, lambda: {"prompt": "a dog"}, wrong)
        for wrong in [
            *each("prompt", [None, 3, "", ["a"], b"a"]),
            *each("mode", ["x", 3, True]),
            *each("cross", [None, "0.8", 2, NAN, [1], True, {"cat": "x"}, [0.8, 0.2]]),
            *each("self", [None, "0.4", -1, NAN, True]),
            *each("reweight", [3, {"cat": NAN}, {"cat": "2"}, "cat", {3: 1.0}]),
            *each("local_blend", [3, [3], True]),
            *each("largest", [0, 1.5, "256", None, True]),
            *each("legacy", ["no", 1, None]),
        ]
    ],
    *[(methods.from_recipe, dict, {"recipe": w}) for w in (None, 3, {}, "drop", {"method": 3}, [])],
    *[(scene, dict, {"index": wrong}) for wrong in (None, "0", 1.5, -1, True, NAN)],
    *[
        (measures.get(name), lambda: {"weights": even()}, wrong)
        for name in ("entropy", "focus", "gini")
        if name in measures
        for wrong in [
            *each("weights", [None, 3, "x", [0.5, 0.5], np.ones((2, 2)), even() * NAN, -even()]),
            *each("over", ["nowhere", 3, None]),
        ]
    ],
    *[
        (measures.get("iou"), lambda: {"heat": plane(), "mask": plane() > 0.5, "threshold": 0.5}, w)
        for w in [
            *each("threshold", ["x", None, True, NAN, "0.5", [0.5]]),
            *each("mask", [None, 3, plane()]),
            *each("heat", [None, 3, "x", np.ones((2, 2))]),
        ]
    ],
]


TABLE += [
    (
        measures.get("iou"),
        lambda: {"heat": plane(), "mask": plane() > 0.5, "threshold": "mass"},
        {"mass": wrong},
    )
    for wrong in ("1", None, 0, 1.5, NAN, True)
]


def described(entry):
    function, _, wrong = entry
    (name, value), *_ = wrong.items()
    told = f"{type(value).__name__}" if hasattr(value, "shape") else repr(value)
    told = re.sub(r" at 0x\w+", "", told)  # an address is another one in each test process
    return f"{getattr(function, '__name__', function)}-{name}={told[:30]}"


def test_the_table_is_long():
    assert len(TABLE) >= 400


@pytest.fixture
def asleep():
    """The denoiser may not run in a call that is refused."""

    def stop(*_):
        raise AssertionError("the denoiser ran")

    hook = pipeline().unet.register_forward_pre_hook(stop)
    yield
    hook.remove()


@pytest.fixture(scope="module", autouse=True)
def once_looked():
    toy_look()


@pytest.mark.usefixtures("asleep")
@pytest.mark.parametrize("entry", TABLE, ids=map(described, TABLE))
def test_a_wrong_call_ends_in_one_line_of_our_own(entry):
    function, right, wrong = entry
    arguments = {**right(), **wrong}
    positional = [arguments.pop("")] if "" in arguments else []
    with no_type_checks(), pytest.raises(RegardError) as caught:
        function(*positional, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith((".", "?", "'", ")", "]"))


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        ({"seed": np.int64(3)}, {"seed": 3}),
        ({"seed": np.array(3)}, {"seed": 3}),
        ({"num_inference_steps": torch.tensor(1)}, {"num_inference_steps": 1}),
        ({"guidance_scale": np.float32(4.0)}, {"guidance_scale": 4.0}),
        ({"guidance_scale": 4}, {"guidance_scale": 4.0}),
        ({"height": np.int32(16)}, {"height": 16}),
        ({"width": np.array(16)}, {"width": 16}),
    ],
)
def test_numbers_of_numpy_and_torch_are_numbers(options, plain):
    with no_type_checks():
        one, other = (
            regard.look(pipeline(), TEXT, **{"num_inference_steps": 1, **each})
            for each in (options, plain)
        )
    assert torch.equal(one.latents, other.latents)
    for name in ("seed", "num_inference_steps", "guidance_scale", "size"):
        assert one.trace.recipe[name] == other.trace.recipe[name]
