import threading
from types import SimpleNamespace

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.nn import functional
from torch.overrides import _get_current_function_mode_stack
from torch.utils.checkpoint import checkpoint

from regard.errors import ArgumentError, NothingObserved
from regard.tap import AttentionCall, HeatMap, Parity, Select, Tap
from tiny import generate, noise, tiny_pipeline, tiny_unet, tiny_vit


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


@pytest.fixture
def unet():
    return tiny_unet()


def unet_inputs(batch: int = 2) -> dict:
    return {
        "sample": noise(batch, 4, 8, 8),
        "timestep": 10,
        "encoder_hidden_states": noise(batch, 5, 16),
    }


def run(model: nn.Module, **inputs) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs, return_dict=False)[0]


class Plain(nn.Module):
    """Attention of one's own, with the kernel of one's choice."""

    def __init__(self, attend, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.attend = heads, attend
        self.inner = nn.Identity()

    def forward(self, x):
        return self.attend(self.inner(x))


def dense_weights(query, key, scale):
    return torch.softmax(query @ key.transpose(-1, -2) * scale, -1)


# Looking


def test_looking_leaves_the_latents_bit_identical(pipeline):
    before = generate(pipeline)
    with Tap(pipeline, observe=[HeatMap([1, 2]), Parity(), lambda call: call.entropy()]):
        seen = generate(pipeline)
    assert torch.equal(before, seen)
    assert torch.equal(before, generate(pipeline))


def test_weights_are_those_of_queries_and_keys_taken_from_the_projections(unet):
    taken: dict[str, dict[str, torch.Tensor]] = {}
    for name, module in unet.named_modules():
        if name.endswith(("to_q", "to_k")):
            layer, which = name.rsplit(".", 1)
            keep = lambda m, a, out, at=layer, w=which: taken.setdefault(at, {}).update({w: out})  # noqa: E731
            module.register_forward_hook(keep)
    seen: dict[str, torch.Tensor] = {}
    with Tap(unet, observe=[lambda call: seen.update({call.layer: call.probs()})]):
        run(unet, **unet_inputs())
    assert set(seen) == set(taken)
    assert len(seen) == 14  # 7 blocks, self and cross
    for layer, probs in seen.items():
        attn = unet.get_submodule(layer)
        q, k = (
            taken[layer][w].unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for w in ("to_q", "to_k")
        )
        expected = dense_weights(q.double(), k.double(), attn.scale)
        torch.testing.assert_close(probs.double(), expected, rtol=0, atol=1e-5)


def test_heat_maps_are_the_columns_of_a_dense_computation(pipeline):
    dense: dict[str, list[torch.Tensor]] = {}
    handles = []
    for name, module in pipeline.unet.named_modules():
        if name.endswith("attn2"):

            def compute(attn, args, kwargs, out, name=name):
                q = attn.to_q(args[0] if args else kwargs["hidden_states"])
                k = attn.to_k(kwargs["encoder_hidden_states"])
                q, k = (x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (q, k))
                dense.setdefault(name, []).append(dense_weights(q, k, attn.scale)[1:])

            handles.append(module.register_forward_hook(compute, with_kwargs=True))
    generate(pipeline)
    for handle in handles:
        handle.remove()
    heat = HeatMap(range(16))
    with Tap(pipeline, observe=[heat]):
        generate(pipeline)
    assert {layer.layer for layer in heat.result()} == set(dense)
    for layer in heat.result():
        expected = torch.stack(dense[layer.layer], 1).mT.unflatten(-1, layer.grid)
        torch.testing.assert_close(layer.maps, expected, rtol=0, atol=1e-5)
        sums = layer.maps.sum(3)
        torch.testing.assert_close(sums, torch.ones_like(sums))


def test_the_open_softmax_of_diffusers_is_seen_as_it_is(unet):
    from diffusers.models.attention_processor import AttnProcessor

    fused: dict[str, torch.Tensor] = {}
    with Tap(unet, observe=[lambda call: fused.update({call.layer: call.probs()})]):
        run(unet, **unet_inputs())
    unet.set_attn_processor(AttnProcessor())
    before = run(unet, **unet_inputs())
    opened, parity = {}, Parity()
    with Tap(unet, observe=[lambda call: opened.update({call.layer: call.probs()}), parity]):
        assert torch.equal(run(unet, **unet_inputs()), before)
    assert list(opened) == list(fused)
    for layer, probs in opened.items():
        torch.testing.assert_close(probs, fused[layer], rtol=0, atol=1e-5)
    assert parity.result() < 1e-5


@pytest.mark.parametrize("need_weights", [True, False])
def test_multihead_attention_is_seen_within(need_weights):
    torch.manual_seed(0)
    model, x = nn.MultiheadAttention(8, 2, batch_first=True).eval(), noise(3, 5, 8)
    _, expected = model(x, x, x, need_weights=True, average_attn_weights=False)
    before = model(x, x, x, need_weights=need_weights)[0]
    seen, parity = [], Parity()
    with Tap(model, observe=[lambda call: seen.append(call.probs()), parity]) as tap:
        assert torch.equal(model(x, x, x, need_weights=need_weights)[0], before)
    torch.testing.assert_close(seen, [expected])
    assert tap.layers == ("(root)",)
    assert parity.result() < 1e-5


def test_transformers_own_maps_are_the_same_tensor():
    model = tiny_vit()
    model.set_attn_implementation("eager")
    x = noise(1, 3, 24, 24)
    expected = model(x, output_attentions=True).attentions
    seen = []
    with torch.no_grad(), Tap(model, observe=[lambda call: seen.append(call.probs())]):
        model(x)
    assert len(seen) == 2
    for probs, other in zip(seen, expected, strict=True):
        torch.testing.assert_close(probs, other)


def test_attention_without_a_head_axis_is_one_head_or_as_many_as_the_module_says():
    x = noise(4, 5, 8)
    model = Plain(lambda x: functional.scaled_dot_product_attention(x, x, x), heads=2)
    shapes = []
    with Tap(
        model, observe=[lambda call: shapes.append(call.shape)], edit=[lambda c: c.temperature(1.0)]
    ):
        edited = model(x)
    assert shapes == [(2, 2, 5, 5)]
    torch.testing.assert_close(edited, model(x))


def test_grouped_heads_are_read_like_repeated_ones():
    q, k, v = noise(1, 4, 3, 8), noise(1, 2, 6, 8, seed=1), noise(1, 2, 6, 8, seed=2)
    attend = lambda x: functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)  # noqa: E731
    parity, calls = Parity(), []
    model = Plain(attend)
    with Tap(model, observe=[parity, calls.append]):
        before = model(q)
    assert parity.result() < 1e-5
    with Tap(model, edit=[lambda call: call.temperature(1.0)]):
        torch.testing.assert_close(model(q), before)
    repeated = k.repeat_interleave(2, 1)
    torch.testing.assert_close(calls[0].probs(), dense_weights(q, repeated, 8**-0.5))
    torch.testing.assert_close(calls[0].columns([5]), calls[0].probs()[..., [5]])


# When and which


def test_steps_are_counted_by_the_scheduler(pipeline):
    seen = []
    with Tap(
        pipeline, observe=[lambda call: seen.append((call.run, call.step, call.pass_))]
    ) as tap:
        generate(pipeline, steps=3)
        generate(pipeline, steps=2)
        assert tap.step == 2
    assert list(dict.fromkeys(seen)) == [(0, 0, 0), (0, 1, 0), (0, 2, 0), (1, 0, 0), (1, 1, 0)]


# numpy warns of how diffusers makes an array of a tensor
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_step_of_heun_holds_two_evaluations_and_the_last_one(pipeline):
    from diffusers import HeunDiscreteScheduler

    other = pipeline.__class__(**pipeline.components, requires_safety_checker=False)
    other.scheduler = HeunDiscreteScheduler.from_config(pipeline.scheduler.config)
    other.set_progress_bar_config(disable=True)
    seen = []
    with Tap(other, observe=[lambda c: seen.append((c.step, c.pass_, c.timestep))]) as tap:
        generate(other, steps=3)
        assert tap.step == 3
    told = list(dict.fromkeys(seen))
    first, second, third = (float(other.scheduler.timesteps[place]) for place in (0, 1, 3))
    assert told == [(0, 0, first), (0, 1, second), (1, 0, second), (1, 1, third), (2, 0, third)]


def test_guidance_puts_the_unconditional_half_first(pipeline):
    seen = []
    with Tap(pipeline, observe=[lambda call: seen.append((call.conditions, call.rows_of("cond")))]):
        generate(pipeline, ["a cat", "a dog"])
    assert set(map(str, seen)) == {
        "(('uncond', 'uncond', 'cond', 'cond'), slice(2, 4, None))",
    }


def test_without_guidance_all_rows_are_conditional(pipeline):
    seen = set()
    with Tap(pipeline, observe=[lambda call: seen.add(call.conditions)]):
        generate(pipeline, guidance=1.0)
    assert seen == {("cond",)}


def test_the_conditional_half_is_the_one_that_reads_the_prompt(pipeline):
    one, other = HeatMap([2]), HeatMap([2], condition="uncond")
    with Tap(pipeline, observe=[one, other]):
        generate(pipeline, "a cat", steps=1)
    cat = [heat.result()[0].maps for heat in (one, other)]
    one, other = HeatMap([2]), HeatMap([2], condition="uncond")
    with Tap(pipeline, observe=[one, other]):
        generate(pipeline, "a dog", steps=1)
    dog = [heat.result()[0].maps for heat in (one, other)]
    assert not torch.equal(cat[0], dog[0])
    assert torch.equal(cat[1], dog[1])


def test_a_loop_of_ones_own_sets_step_and_conditions(unet):
    seen = []
    with Tap(unet, observe=[lambda call: seen.append((call.step, call.conditions))]) as tap:
        run(unet, **unet_inputs())
        tap.step, tap.conditions = 7, ("uncond", "cond")
        run(unet, **unet_inputs())
        with pytest.raises(ArgumentError, match="needs different labels"):
            tap.conditions = ("cond", "cond")
    assert list(dict.fromkeys(seen)) == [(0, (None, None)), (7, ("uncond", "cond"))]


def test_a_module_alone_that_is_given_several_texts_does_not_know_the_prompt(unet):
    asked = pytest.raises(ArgumentError, match="which of the 2 rows.*Set Tap.conditions")
    with asked, Tap(unet, observe=[HeatMap([2])]):
        run(unet, **unet_inputs())
    heat = HeatMap([2])
    with Tap(unet, observe=[heat], conditions=("uncond", "cond")):
        run(unet, **unet_inputs())
    assert heat.result()[0].maps.shape[0] == 1


def test_places_are_down_mid_and_up(unet):
    seen = []
    with Tap(unet, observe=[lambda call: seen.append(call.stage)]):
        run(unet, **unet_inputs())
    assert list(dict.fromkeys(seen)) == ["down", "mid", "up"]


# Opening and closing


def test_nested_taps_see_the_same_and_edit_once(pipeline):
    outer, inner = [], []
    hide = (Select(kind="cross"), lambda call: call.mask_keys([0]))
    with Tap(pipeline, observe=[lambda call: outer.append((call.step, call.probs()))]):
        with Tap(
            pipeline, edit=[hide], observe=[lambda call: inner.append((call.step, call.probs()))]
        ):
            generate(pipeline)
        count = len(outer)
        generate(pipeline)
    assert [step for step, _ in outer[:count]] == [step for step, _ in inner]
    for (_, one), (_, other) in zip(outer, inner, strict=False):
        torch.testing.assert_close(one, other)
    assert [step for step, _ in outer[count:]] == [step for step, _ in inner]


def test_a_nested_tap_gives_the_clock_back(pipeline):
    steps = []
    with Tap(pipeline, observe=[lambda call: steps.append(call.step)]) as outer:
        with Tap(pipeline):
            generate(pipeline, steps=1)
        generate(pipeline, steps=2)
        assert outer.step == 2
    assert set(steps) == {0, 1}
    assert "step" not in vars(pipeline.scheduler)


def test_evaluations_aside_are_edited_but_neither_observed_nor_counted(unet):
    seen, beside, edited = [], [], []
    with Tap(unet, observe=[seen.append], edit=[lambda call: edited.append(call.layer)]) as tap:
        run(unet, **unet_inputs())
        count = len(seen)
        with tap.aside(observe=[beside.append], edit=[lambda call: call.temperature(2.0)]):
            run(unet, **unet_inputs())
        run(unet, **unet_inputs())
    assert len(seen) == 2 * count
    assert len(beside) == count
    assert len(edited) == 3 * count
    assert {call.pass_ for call in seen} == {0, 1}
    assert {call.conditions for call in beside} == {("cond", "cond")}
    assert all(call.edited for call in beside)


def test_what_fails_aside_leaves_the_tap_as_it_was(unet):
    seen = []
    with Tap(unet, observe=[seen.append]) as tap:
        with pytest.raises(ZeroDivisionError), tap.aside(observe=[lambda _: 1 // 0]):
            run(unet, **unet_inputs())
        run(unet, **unet_inputs())
    assert {call.pass_ for call in seen} == {0}


def test_an_attribute_that_was_there_before_is_put_back(pipeline):
    own = pipeline.scheduler.step
    pipeline.scheduler.step = own
    try:
        with Tap(pipeline):
            generate(pipeline, steps=1)
        assert vars(pipeline.scheduler)["step"] is own
    finally:
        del pipeline.scheduler.step


@pytest.mark.parametrize("where", ["block", "observer", "model"])
def test_all_is_closed_when_something_raises(pipeline, where):
    def boom(*_):
        raise RuntimeError("boom")

    before = generate(pipeline)
    handle = pipeline.unet.mid_block.register_forward_hook(boom) if where == "model" else None
    observers = [boom] if where == "observer" else []
    with pytest.raises(RuntimeError, match="boom"), Tap(pipeline, observe=observers):
        boom(generate(pipeline))
    if handle:
        handle.remove()
    assert {"step", "set_timesteps"}.isdisjoint(vars(pipeline.scheduler))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in pipeline.unet.modules())
    assert not torch.overrides._get_current_function_mode_stack()
    assert torch.equal(generate(pipeline), before)


def test_an_interrupt_where_nothing_is_watched_closes_all_the_same(pipeline):
    resnet, count = pipeline.unet.mid_block.resnets[0].conv1, []

    def interrupt(*_):
        count.append(len(torch.overrides._get_current_function_mode_stack()))
        if len(count) == 2:
            raise KeyboardInterrupt

    with resnet.register_forward_hook(interrupt), pytest.raises(KeyboardInterrupt), Tap(pipeline):
        generate(pipeline)
    assert count == [1, 0]  # watched the first time; then known to hold no attention
    assert not torch.overrides._get_current_function_mode_stack()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in pipeline.unet.modules())


def test_opening_half_way_leaves_nothing_open(unet, monkeypatch):
    monkeypatch.setattr("regard.tap.tap.uncompiled", lambda: SimpleNamespace())
    with pytest.raises(TypeError), Tap(unet):
        pass
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in unet.modules())


def test_another_thread_is_not_watched(unet):
    calls = []
    with Tap(unet, observe=[calls.append]):
        thread = threading.Thread(target=run, args=(unet,), kwargs=unet_inputs())
        thread.start()
        thread.join()
        assert calls == []
        run(unet, **unet_inputs())
    assert len(calls) == 14


# Nothing seen


def test_a_model_that_was_not_run_is_named():
    message = "ViTModel: 0 attention calls in 0 layers. The model was not run inside"
    with pytest.raises(NothingObserved, match=message), Tap(tiny_vit()):
        pass


def test_a_model_without_attention_is_named():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(NothingObserved, match="has no softmax attention"), Tap(model):
        model(torch.ones(1, 2))


def test_attention_that_has_no_softmax_is_reported(unet):
    class Linear:
        def __call__(self, attn, hidden_states, **_):
            return hidden_states

    attn = unet.mid_block.attentions[0].transformer_blocks[0].attn1
    attn.set_processor(Linear())
    with Tap(unet) as tap:
        run(unet, **unet_inputs())
    assert "13 attention calls in 13 layers" in tap.report()
    assert "mid_block.attentions.0.transformer_blocks.0.attn1 (Linear)" in tap.report()


def test_hidden_kernels_are_refused_with_a_cure(unet):
    unet.set_attention_slice(1)
    with pytest.raises(NothingObserved, match=r"SlicedAttnProcessor.*disable_attention_slicing"):
        Tap(unet).__enter__()


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is")
def test_a_scripted_part_is_no_attention():
    scripted = torch.jit.script(nn.Linear(8, 8))
    model = nn.Sequential(scripted, nn.TransformerEncoderLayer(8, 2, batch_first=True))
    with Tap(model) as tap:
        model(torch.ones(1, 3, 8))
    assert tap.layers == ("1.self_attn",)


def test_hidden_implementations_of_parts_are_refused():
    model = tiny_vit()
    model.config._attn_implementation = "flex_attention"
    with pytest.raises(NothingObserved, match="flex_attention"):
        Tap(nn.ModuleDict({"part": model})).__enter__()


def test_a_softmax_that_is_no_attention_is_told():
    gate = Plain(lambda x: (x @ x.mT).softmax(-1))
    with pytest.raises(NothingObserved, match="a softmax that did not meet its values"), Tap(gate):
        gate(noise(1, 2, 3, 3))


@pytest.mark.parametrize("target", [object(), SimpleNamespace(components={"vae": None})])
def test_what_cannot_be_tapped_is_refused(target):
    with pytest.raises(ArgumentError, match=r"^Tap: "):
        Tap(target)


@pytest.mark.parametrize("asked", [{"kind": "self"}, {"query": "image"}, {"key": "text"}])
def test_an_unknown_family_is_seen_but_what_its_tokens_are_cannot_be_asked(asked):
    x = noise(1, 2, 5, 8)
    model = Plain(lambda x: functional.scaled_dot_product_attention(x, x, x))
    with Tap(model, observe=[Parity()]):
        model(x)
    with (
        pytest.raises(ArgumentError, match=r"layout_for\('Plain'\)"),
        Tap(model, observe=[HeatMap([0])]),
    ):
        model(x)
    with (
        pytest.raises(ArgumentError, match="no token layout"),
        Tap(model, observe=[(Select(**asked), print)]),
    ):
        model(x)


# Gradients


def test_the_gradient_of_a_word_map_is_that_of_the_dense_map(unet):
    inputs = unet_inputs()

    def gradient(read):
        latent = inputs["sample"].clone().requires_grad_()
        losses = []
        with Tap(
            unet, observe=[(Select(kind="cross"), lambda c: losses.append(read(c).square().sum()))]
        ):
            unet(**{**inputs, "sample": latent})
            return torch.autograd.grad(sum(losses), latent)[0]

    fused = gradient(lambda call: call.apply(torch.eye(5)[:, 2:3]))
    dense = gradient(lambda call: call.probs()[..., [2]])
    torch.testing.assert_close(fused, dense, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("how", ["backward", "grad"])
def test_checkpointing_keeps_the_edit_in_the_gradient(how):
    torch.manual_seed(0)
    block, x = nn.MultiheadAttention(8, 2, batch_first=True), noise(2, 4, 8)
    seen = []

    class Model(nn.Module):
        def __init__(self, save):
            super().__init__()
            self.block, self.save = block, save

        def forward(self, x):
            attend = lambda x: self.block(x, x, x)[0]  # noqa: E731
            return checkpoint(attend, x, use_reentrant=False) if self.save else attend(x)

    def gradient(save):
        leaf, model = x.clone().requires_grad_(), Model(save)
        with Tap(model, edit=[lambda call: call.scale_heads({0: 0.0})], observe=[seen.append]):
            loss = model(leaf).square().sum()
            if how == "backward":
                loss.backward()
                return leaf.grad
            return torch.autograd.grad(loss, leaf)[0]

    torch.testing.assert_close(gradient(save=True), gradient(save=False))
    assert len(seen) == 2


def test_checkpointing_keeps_the_edit_also_where_the_watch_sleeps(unet):
    """From the second forward on; the layers are recomputed with the edit, and seen once."""

    def gradient():
        leaf, seen = unet_inputs()["sample"].requires_grad_(), []
        only = Select(kind="cross")
        edit = (only, lambda call: call.scale_keys([1], 3.0))
        with Tap(unet, edit=[edit], observe=[(only, seen.append)]):
            run(unet, **unet_inputs())
            first = len(seen)
            output = unet(**{**unet_inputs(), "sample": leaf}).sample
            [slope] = torch.autograd.grad(output.square().sum(), leaf)
        return slope, first, len(seen)

    unet.train()
    plain, *counts = gradient()
    unet.enable_gradient_checkpointing()
    saved, *again = gradient()
    torch.testing.assert_close(saved, plain)
    assert counts == again == [7, 14]


def test_compiled_models_run_eagerly_while_any_tap_is_open():
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    model, x = tiny_vit(), noise(1, 3, 24, 24)
    compiled = torch.compile(model, backend=backend)
    calls: list[AttentionCall] = []
    with torch.no_grad(), Tap(compiled, observe=[calls.append]):
        with Tap(model):
            compiled(x)
        compiled(x)
    assert (len(calls), len(graphs)) == (4, 0)
    with torch.no_grad():
        compiled(x)
    assert graphs


def test_it_steps_aside_where_nothing_is_asked_once_the_model_is_known(unet):
    """Being seen costs: a mode is on in the first forward alone, as these layers call by name."""
    watched = {}
    layers = dict(unet.named_modules())
    cross, own = (
        layers[f"mid_block.attentions.0.transformer_blocks.0.{x}"] for x in ("attn2", "attn1")
    )
    hooks = [
        each.to_out[0].register_forward_hook(lambda *_, name=name: watched.update({name: modes()}))
        for name, each in (("cross", cross), ("self", own))
    ]
    edit = (Select(kind="cross", steps=range(2)), lambda call: call.scale_keys([1], 3.0))
    outputs, found = [], []
    with torch.no_grad(), Tap(unet, edit=[edit]) as tap:
        for step in range(3):
            tap.step = step
            outputs.append(unet(**unet_inputs()).sample)
            found.append((watched["cross"], watched["self"]))
    for hook in hooks:
        hook.remove()
    assert found == [(1, 1), (0, 0), (0, 0)]
    assert torch.equal(outputs[0], outputs[1])
    with torch.no_grad():
        assert torch.equal(outputs[2], unet(**unet_inputs()).sample)
    assert not torch.allclose(outputs[1], outputs[2], atol=1e-4)


def test_a_processor_changed_on_the_way_is_still_seen(unet):
    calls = []
    with Tap(unet, observe=[calls.append]):
        for _ in range(2):
            run(unet, **unet_inputs())
        unet.set_attn_processor(AttnProcessor())
        for _ in range(2):
            run(unet, **unet_inputs())
    assert [call.layer for call in calls] == [call.layer for call in calls[:14]] * 4


def test_what_observers_call_by_name_is_not_seen_again(unet):
    seen = []

    def observer(call):
        seen.append(call.layer)
        functional.scaled_dot_product_attention(call.query, call.key, call.value)

    with Tap(unet, observe=[observer]):
        for _ in range(3):
            run(unet, **unet_inputs())
    assert len(seen) == 3 * 14


def test_a_part_that_nothing_is_asked_of_is_not_taken_for_the_layer_around_it():
    """Both call by name; the outer layer is asked for, and the inner one runs inside it."""
    fused = lambda x: functional.scaled_dot_product_attention(x, x, x)  # noqa: E731
    inner = Plain(fused)
    outer = Plain(lambda x: fused(inner(x)))
    outer.part = inner
    model, seen = nn.Sequential(outer), []
    select = Select(layers=lambda path: path == "0")
    with torch.no_grad(), Tap(model, observe=[(select, seen.append)]) as tap:
        for _ in range(3):
            model(noise(1, 2, 3, 4))
    assert [(call.layer, call.index) for call in seen] == [("0", 0)] * 3
    assert set(tap.layers) == {"0", "0.part"}


def test_modes_and_taps_come_and_go_while_a_tap_is_open(unet):
    outer, inner = [], []
    with Tap(unet, observe=[outer.append]):
        run(unet, **unet_inputs())
        with torch.device("cpu"):
            run(unet, **unet_inputs())
        with Tap(unet, observe=[inner.append]):
            run(unet, **unet_inputs())
            with torch.device("cpu"):
                run(unet, **unet_inputs())
        run(unet, **unet_inputs())
        assert modes() == 0  # nothing outside the model is looked at
    assert (len(outer), len(inner), modes()) == (5 * 14, 2 * 14, 0)


def test_the_fused_attention_has_its_own_name_back_when_the_last_tap_closes(unet):
    fused = functional.scaled_dot_product_attention
    with Tap(unet):
        with Tap(unet):
            run(unet, **unet_inputs())
        assert functional.scaled_dot_product_attention is not fused
        run(unet, **unet_inputs())
    assert functional.scaled_dot_product_attention is fused


def modes() -> int:
    return len(_get_current_function_mode_stack())
