"""An interrupt at any line of the tap leaves nothing open."""

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import _get_current_function_mode_stack

import regard.tap
from regard.tap import Select, Tap, shadowed
from tiny import noise

ROOM = str(Path(regard.tap.__file__).parent)
FUSED = functional.scaled_dot_product_attention


class Layer(nn.Module):
    """Attention called by its name, between parts that make it a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(functional.scaled_dot_product_attention(x, x, x))


class Model(nn.Module):
    """One layer of each kind: by name, in the open within a function, without attention."""

    def __init__(self) -> None:
        super().__init__()
        self.fused = Layer()
        self.open = nn.Sequential(nn.MultiheadAttention(4, 2, batch_first=True))
        self.plain = nn.Sequential(nn.Linear(4, 4))

    def forward(self, x: torch.Tensor, timestep: float = 1.0) -> torch.Tensor:
        x = self.plain(self.fused(x[:, None])[:, 0])
        return self.open[0](x, x, x)[0]

    def cache_context(self, name: str) -> Any:
        return nullcontext()


class Scheduler:
    def set_timesteps(self, count: int) -> None:
        self.left = count

    def step(self) -> None:
        self.left -= 1


class Pipeline:
    """As the pipelines of diffusers are: a denoiser, a scheduler, a loop."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model, self.scheduler = Model().eval(), Scheduler()

    @property
    def components(self) -> dict[str, Any]:
        return {"transformer": self.model, "scheduler": self.scheduler}

    def __call__(self, steps: int = 2) -> torch.Tensor:
        x = noise(1, 3, 4)
        self.scheduler.set_timesteps(steps)
        for _ in range(steps):
            with self.model.cache_context("cond"):
                x = self.model(x)
            self.scheduler.step()
        return x


def watched(pipeline: Pipeline) -> None:
    edit = (Select(layers="fused", steps=range(1)), lambda call: call.temperature(2.0))
    with torch.no_grad(), Tap(pipeline, observe=[lambda call: None], edit=[edit]) as tap:
        pipeline()
        with tap.aside():
            pipeline.model(noise(1, 3, 4))


def nested(pipeline: Pipeline) -> None:
    with torch.no_grad(), Tap(pipeline):
        pipeline(1)
        with Tap(pipeline):
            pipeline(1)


def put_before(pipeline: Pipeline) -> None:
    with shadowed(pipeline.scheduler, "step", lambda step: lambda: step()):
        pipeline.scheduler.set_timesteps(1)
        pipeline.scheduler.step()


def in_backward(pipeline: Pipeline) -> None:
    with Tap(pipeline.model):
        pipeline.model(noise(1, 3, 4)).sum().backward()


@contextmanager
def raising_at(number: int | None) -> Iterator[list[tuple[str, int]]]:
    """Raise KeyboardInterrupt at one of the lines of the tap that run, counted from 0."""
    lines: list[tuple[str, int]] = []

    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            at = (frame.f_code.co_filename[len(ROOM) + 1 :], frame.f_lineno)
            lines.append(at)
            if len(lines) - 1 == number:
                raise KeyboardInterrupt
        return local

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename.startswith(ROOM) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


def left_open(pipeline: Pipeline) -> list[str]:
    """What is not as it was before."""
    hooks = [m for m in pipeline.model.modules() if m._forward_hooks or m._forward_pre_hooks]
    found = {
        "hooks": bool(hooks),
        "the fused attention": functional.scaled_dot_product_attention is not FUSED,
        "the scheduler": set(vars(pipeline.scheduler)) - {"left"},
        "the model": "cache_context" in vars(pipeline.model),
        "modes": bool(_get_current_function_mode_stack()),
        "the watch": getattr(regard.tap.mode._here, "watch", None) is not None,
        "the stance": torch._dynamo.eval_frame._stance.stance != "default",
    }
    return [name for name, wrong in found.items() if wrong]


def tried(run: Callable[[Pipeline], None], numbers: Iterable[int]) -> list[str]:
    """What was wrong after interrupts at these lines of a run."""
    wrong, pipeline = [], Pipeline()
    for number in numbers:
        what = []
        try:
            with raising_at(number) as lines:
                run(pipeline)
            what = ["nothing was raised"]
        except KeyboardInterrupt:
            pass
        except BaseException as other:
            what = [repr(other)]
        what += left_open(pipeline)
        if what:
            wrong.append(f"{lines[-1]}: {', '.join(what)}")
            pipeline = Pipeline()
            functional.scaled_dot_product_attention = FUSED
    return wrong


def test_an_interrupt_at_any_line_leaves_nothing_open():
    import torch._dynamo  # noqa: F401  so that compiled models are kept from compiling, too

    known: set[tuple[str, int]] = set()
    for run in (watched, nested, put_before, in_backward):
        pipeline = Pipeline()
        with raising_at(None) as lines:
            run(pipeline)
        # Each line once, the first time that it runs: where a release is repeated, that is the
        # one that counts. Nested taps do differently in modes and releases alone.
        first = {at: number for number, at in reversed(list(enumerate(lines)))}
        again = ("mode.py", "opened.py") if run is nested else ()
        wrong = tried(run, [n for at, n in first.items() if at not in known or at[0] in again])
        assert wrong == []
        known |= first.keys()
        run(pipeline)  # no lock is held, and all opens and closes as ever
        assert left_open(pipeline) == []
    assert len(known) > 400


@pytest.mark.parametrize("run", [watched, in_backward])
def test_nor_does_one_that_comes_later(run):
    with raising_at(None) as lines:
        run(Pipeline())
    assert tried(run, random.Random(0).sample(range(len(lines)), 20)) == []


def test_the_outer_tap_goes_on_after_an_interrupt_of_an_inner_one():
    """Interrupted at any line of the inner one: the outer sees each layer once, as before."""

    def seen_after(number: int | None) -> tuple[list[str], list[tuple[str, int]]]:
        pipeline, seen = Pipeline(), []
        with torch.no_grad(), Tap(pipeline, observe=[lambda call: seen.append(call.layer)]):
            pipeline(1)
            lines: list[tuple[str, int]] = []
            try:
                with raising_at(number) as lines, Tap(pipeline):
                    pass
            except (KeyboardInterrupt, regard.errors.NothingObserved):
                pass
            seen.clear()
            pipeline(1)
        return seen, lines

    expected, lines = seen_after(None)
    assert expected == ["fused", "open.0"]
    for number in {at: number for number, at in reversed(list(enumerate(lines)))}.values():
        assert seen_after(number)[0] == expected, number
