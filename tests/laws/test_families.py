"""What must hold for every family of models that the tap knows the layout of."""

from collections.abc import Callable

import pytest
import torch

import joint
import tiny
from regard.tap import AttentionCall, Tap, TokenLayout
from regard.tap.families import FAMILIES
from tiny import Sample

SAMPLES = {**tiny.FAMILIES, **joint.FAMILIES}
BUILDERS = [build for builders in SAMPLES.values() for build in builders]


def name_of(build: Callable[[], Sample]) -> str:
    inner = getattr(build, "func", build).__name__
    settings = [*getattr(build, "args", ()), *getattr(build, "keywords", {}).items()]
    return "-".join(str(part) for part in [inner, *settings])


@pytest.fixture(scope="module", params=BUILDERS, ids=name_of)
def sample(request) -> Sample:
    return request.param()


def calls_of(at: Sample, **changed) -> list[AttentionCall]:
    calls: list[AttentionCall] = []
    with Tap(at.model, observe=[calls.append]):
        at.run(**changed)
    return calls


def test_every_registered_family_is_tested():
    assert set(SAMPLES) == set(FAMILIES.values())


def test_looking_changes_nothing(sample):
    with Tap(sample.model, observe=[lambda call: call.probs()]):
        seen = sample.run()
    assert torch.equal(seen, sample.run())


def test_the_model_is_as_before(sample):
    def state():
        hooks = [
            (len(module._forward_pre_hooks), len(module._forward_hooks))
            for module in sample.model.modules()
        ]
        return hooks, set(vars(sample.model))

    before, output = state(), sample.run()
    with pytest.raises(RuntimeError, match="boom"), Tap(sample.model):
        raise RuntimeError(f"boom {sample.run().shape}")
    assert state() == before
    assert torch.equal(sample.run(), output)


def test_layers_are_in_running_order(sample):
    order, removers = [], []
    for name, module in sample.model.named_modules():
        note = lambda module, args, name=name: order.append(name)  # noqa: E731
        removers.append(module.register_forward_pre_hook(note))
    with Tap(sample.model) as tap:
        sample.run()
    for remover in removers:
        remover.remove()
    assert list(tap.layers) == [name for name in order if name in tap.layers]
    assert len(set(tap.layers)) == len(tap.layers) > 0


def test_weights_sum_to_one(sample):
    for call in calls_of(sample):
        sums = call.probs().sum(-1)
        torch.testing.assert_close(sums, torch.ones_like(sums))


def test_segments_cover_all_tokens_and_grids_fit(sample):
    grids = set()
    for call in calls_of(sample):
        _, _, queries, keys = call.shape
        for segments, length in ((call.layout.queries, queries), (call.layout.keys, keys)):
            stops = [0, *(segment.stop for segment in segments)]
            assert [segment.start for segment in segments] == stops[:-1]
            assert stops[-1] == length
            for segment in segments:
                if segment.name == "image":
                    assert segment.grid[0] * segment.grid[1] == len(segment)
                    grids.add(segment.grid)
    assert grids


def test_changing_one_input_token_changes_the_keys_that_the_layout_says(sample):
    """The black-box probe: values carry no position and see no other key, at the first layer."""
    if sample.image is not None:
        probe_image(sample)
    if sample.text is not None:
        probe_text(sample)


def probe_image(sample: Sample) -> None:
    before = first(sample, lambda layout: has_key(layout, "image"))
    image = before.layout.keys_of("image")
    rows, columns = image.grid
    for row, column in ((0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)):
        changed = sample.inputs[sample.image].clone()
        patch = patch_of(changed, image.grid, row, column)
        patch += torch.linspace(1.0, 2.0, patch.numel()).reshape(patch.shape)
        after = first(sample, lambda layout: has_key(layout, "image"), **{sample.image: changed})
        moved = strongest_value(before, after)
        assert moved == image.start + row * columns + column


def patch_of(picture: torch.Tensor, grid: tuple[int, int], row: int, column: int) -> torch.Tensor:
    """One patch of a picture, or of latents that are packed in patches already."""
    if picture.ndim == 3:
        return picture[:, row * grid[1] + column]
    high, wide = picture.shape[-2] // grid[0], picture.shape[-1] // grid[1]
    return picture[..., row * high : (row + 1) * high, column * wide : (column + 1) * wide]


def probe_text(sample: Sample) -> None:
    if not any(has_key(call.layout, "text") for call in calls_of(sample)):
        return
    before = first(sample, lambda layout: has_key(layout, "text"))
    text = before.layout.keys_of("text")
    for token in range(len(text)):
        changed = sample.inputs[sample.text].clone()
        changed[:, token] += 1.0
        after = first(sample, lambda layout: has_key(layout, "text"), **{sample.text: changed})
        assert changed_values(before, after) == [text.start + token]


def has_key(layout: TokenLayout, name: str) -> bool:
    return any(segment.name == name for segment in layout.keys)


def first(at: Sample, suits: Callable[[TokenLayout], bool], **changed) -> AttentionCall:
    return next(call for call in calls_of(at, **changed) if suits(call.layout))


def change(before: AttentionCall, after: AttentionCall) -> torch.Tensor:
    return (after.value - before.value).abs().amax((0, 1, 3))


def strongest_value(before: AttentionCall, after: AttentionCall) -> int:
    """Norms over the picture move every key a little, so the most moved key counts."""
    return int(change(before, after).argmax())


def changed_values(before: AttentionCall, after: AttentionCall) -> list[int]:
    return change(before, after).nonzero()[:, 0].tolist()
