"""Two threads on one pipeline: in turn, or refused; never wrong."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from regard.errors import ArgumentError
from regard.look import look
from regard.tap import Tap
from tiny import generate, tiny_pipeline

PROMPTS = ("a cat on grass", "a red car", "a dog and a cat", "two blue birds on snow")


def test_looks_of_four_threads_at_one_pipeline_are_those_of_one():
    pipeline = tiny_pipeline()
    run = lambda at: look(pipeline, PROMPTS[at], seed=at, num_inference_steps=2 + at % 2)  # noqa: E731
    alone = [run(at) for at in range(4)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(run, range(4)))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(np.asarray(one.image), np.asarray(other.image))
        for layer, maps in one.trace.word_maps.items():
            assert maps.identical(other.trace.word_maps[layer])


def test_a_tap_in_a_second_thread_is_refused_in_one_line():
    pipeline, said = tiny_pipeline(), []

    def other() -> None:
        for run in (
            lambda: Tap(pipeline).__enter__(),
            lambda: look(pipeline, "a cat", num_inference_steps=1),
        ):
            with pytest.raises(ArgumentError, match="in use by another thread") as refused:
                run()
            said.append(str(refused.value))

    with Tap(pipeline):
        before = generate(pipeline)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert (generate(pipeline) == before).all()
    assert len(said) == 2
    assert not any("\n" in each for each in said)
    assert "step" not in vars(pipeline.scheduler)
    thread = threading.Thread(
        target=lambda: said.append(look(pipeline, "a cat", num_inference_steps=1))
    )
    thread.start()
    thread.join()
    assert len(said) == 3


def test_a_scheduler_that_two_pipelines_share_counts_as_one():
    one = tiny_pipeline()
    other = type(one)(**one.components, requires_safety_checker=False)
    own = type(one)(**one.components, requires_safety_checker=False)
    own.scheduler = type(one.scheduler).from_config(one.scheduler.config)
    own.set_progress_bar_config(disable=True)
    done = []

    def second() -> None:
        with pytest.raises(ArgumentError, match="count in the same DDIMScheduler"):
            Tap(other).__enter__()
        with Tap(own):  # the same network, seen from two threads, is no trouble
            done.append(generate(own))

    with Tap(one):
        generate(one)
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(done) == 1


def test_one_thread_may_open_a_tap_within_another():
    pipeline = tiny_pipeline()
    with Tap(pipeline):
        with Tap(pipeline):
            generate(pipeline)
        look(pipeline, "a cat", num_inference_steps=1)
