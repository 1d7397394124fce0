"""Which rows read the prompt, proven: with another prompt they change, and no other row does."""

import pytest
import torch

from guided import CASES, Case
from regard.tap import Tap
from regard.tap.guided import IN_TURN, ORDERS

pytestmark = pytest.mark.filterwarnings(  # in pipelines of diffusers
    "ignore:`FluxPosEmbed` is deprecated:FutureWarning",
    "ignore:torch.meshgrid:UserWarning",
)

READS = ("cond", "perturbed")
"""Labels of rows that read the prompt; perturbed ones do so with weaker attention."""


@pytest.fixture(params=CASES, ids=repr)
def case(request) -> Case:
    return request.param


def first_step(case: Case, which: int):
    """Labels and output of each attention call before the first step is done, and of each model."""
    pipeline = case.pipeline()
    calls, models = [], []
    model = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer

    def see(call) -> None:
        if call.step == 0:
            calls.append((call.conditions, call.output))

    tap = Tap(pipeline, observe=[see])

    def after(_, args, output) -> None:
        if tap.step == 0:
            first = output[0] if isinstance(output, tuple) else output.sample
            models.append((tap.labels, torch.stack(first) if isinstance(first, list) else first))

    hook = model.register_forward_hook(after)
    try:
        with tap:
            case.run(pipeline, which)
    finally:
        hook.remove()
    return calls, models


def changed(one, other):
    assert [labels for labels, _ in one] == [labels for labels, _ in other]
    for (labels, before), (_, after) in zip(one, other, strict=True):
        moved = (before - after).abs().flatten(1).amax(1) > 0
        yield labels, moved.tolist()


def test_exactly_the_rows_that_are_called_conditional_read_the_prompt(case):
    (calls, models), (other_calls, other_models) = (first_step(case, which) for which in (0, 1))
    known = set()
    for labels, moved in changed(models, other_models):
        known |= set(labels)
        if None not in labels:
            assert [label in READS for label in labels] == moved
    for labels, moved in changed(calls, other_calls):
        if None not in labels:
            # Before the text has come in, nothing has changed yet.
            assert all(label in READS for label, there in zip(labels, moved, strict=True) if there)
    claimed = case.name in ORDERS or case.name in IN_TURN
    assert claimed == (None not in known), known
    assert not claimed or "cond" in known


def test_every_order_that_is_claimed_is_proven():
    assert {*ORDERS, *IN_TURN} <= {case.name for case in CASES}
