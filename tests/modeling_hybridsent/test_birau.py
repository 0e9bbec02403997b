"""BiRAU against torch.nn.GRU, its own plain loop, finite differences, and against padding."""

import copy

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint

from modeling_hybridsent import BiRAU, birau_hybridsent

INPUT, HIDDEN = 7, 5
LENGTHS = [6, 3, 1]


def mask_of(lengths, length):
    return (torch.arange(length)[None] < torch.tensor(lengths)[:, None]).long()


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.randn(len(LENGTHS), max(LENGTHS), INPUT)


@pytest.fixture
def birau():
    torch.manual_seed(1)
    return BiRAU(INPUT, HIDDEN)


def gru_with_weights_of(birau):
    """torch's own GRU: it has two biases a gate where one is enough, so one of each stays zero."""
    gru = torch.nn.GRU(INPUT, HIDDEN, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for unit, suffix in ((birau.forward_unit, ""), (birau.backward_unit, "_reverse")):
            getattr(gru, f"weight_ih_l0{suffix}").copy_(unit.input_weight)
            getattr(gru, f"weight_hh_l0{suffix}").copy_(unit.recurrent_weight)
            getattr(gru, f"bias_ih_l0{suffix}").copy_(unit.input_bias)
            recurrent_bias = getattr(gru, f"bias_hh_l0{suffix}").zero_()
            recurrent_bias[2 * HIDDEN :] = unit.candidate_bias
    return gru


def test_without_attention_gate_it_is_a_gru_in_values_and_gradients(inputs):
    torch.manual_seed(2)
    birau = BiRAU(INPUT, HIDDEN, attention_gate=False)
    gru = gru_with_weights_of(birau)
    ours = inputs.clone().requires_grad_()
    theirs = inputs.clone().requires_grad_()
    packed = pack_padded_sequence(theirs, LENGTHS, batch_first=True)

    out = birau(ours, mask_of(LENGTHS, 6))
    expected, _ = pad_packed_sequence(gru(packed)[0], batch_first=True)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=0)

    weights = torch.randn_like(out)
    (out * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=0)
    for unit, suffix in ((birau.forward_unit, ""), (birau.backward_unit, "_reverse")):
        pairs = {
            "input_weight": f"weight_ih_l0{suffix}",
            "recurrent_weight": f"weight_hh_l0{suffix}",
            "input_bias": f"bias_ih_l0{suffix}",
        }
        for mine, other in pairs.items():
            torch.testing.assert_close(
                getattr(unit, mine).grad, getattr(gru, other).grad, atol=1e-6, rtol=0
            )
        recurrent_bias = getattr(gru, f"bias_hh_l0{suffix}").grad
        torch.testing.assert_close(
            unit.candidate_bias.grad, recurrent_bias[2 * HIDDEN :], atol=1e-6, rtol=0
        )


def test_one_step_follows_the_published_equations(birau, inputs):
    unit, h = birau.forward_unit, torch.randn(3, HIDDEN)
    x = inputs[:, 0]
    w_r, w_z, w_n, w_c, w_g = unit.input_weight.split(HIDDEN)
    u_r, u_z, u_n, u_c, u_g = unit.recurrent_weight.split(HIDDEN)
    b_r, b_z, b_n, b_c, b_g = unit.input_bias.split(HIDDEN)
    r = torch.sigmoid(x @ w_r.T + h @ u_r.T + b_r)
    z = torch.sigmoid(x @ w_z.T + h @ u_z.T + b_z)
    n = torch.tanh(x @ w_n.T + b_n + r * (h @ u_n.T + unit.candidate_bias))
    a = torch.softmax(x @ w_c.T + h @ u_c.T + b_c, dim=-1)
    g = a * torch.relu(x @ w_g.T + h @ u_g.T + b_g)
    step = unit.step(torch.nn.functional.linear(x, unit.input_weight, unit.input_bias), h)
    torch.testing.assert_close(step, (1 - z) * n + z * h + g, atol=1e-6, rtol=0)


def test_attention_gate_changes_the_output(birau, inputs):
    assert not torch.allclose(birau(inputs), gru_like(birau, inputs), atol=1e-3)


def gru_like(birau, inputs):
    """The same weights without their attention gate."""
    plain = BiRAU(INPUT, HIDDEN, attention_gate=False)
    state = {
        name: tensor if name.endswith("candidate_bias") else tensor[: 3 * HIDDEN]
        for name, tensor in birau.state_dict().items()
    }
    plain.load_state_dict(state)
    return plain(inputs)


@pytest.mark.parametrize("garbage", [0.0, 1e6, float("nan"), float("inf")])
def test_padding_changes_no_bit(birau, inputs, garbage):
    mask = mask_of(LENGTHS, 6)
    dirty = inputs.masked_fill(mask[..., None] == 0, garbage)
    assert torch.equal(birau(dirty, mask), birau(inputs, mask))


def test_more_padding_moves_nothing(birau, inputs):
    short = birau(inputs, mask_of(LENGTHS, 6))
    longer = torch.cat([inputs, torch.randn(3, 9, INPUT)], dim=1)
    long = birau(longer, mask_of(LENGTHS, 15))
    torch.testing.assert_close(long[:, :6], short, atol=1e-6, rtol=0)
    assert torch.equal(long[:, 6:], torch.zeros(3, 9, 2 * HIDDEN))


def test_backward_direction_starts_at_the_last_real_token(birau, inputs):
    alone = birau(inputs[1:2, :3])
    padded = birau(inputs, mask_of(LENGTHS, 6))[1:2, :3]
    torch.testing.assert_close(padded, alone, atol=1e-6, rtol=0)


def test_padding_in_the_middle_is_skipped(birau, inputs):
    with_gap = torch.cat([inputs[:, :2], torch.randn(3, 4, INPUT), inputs[:, 2:]], dim=1)
    mask = torch.tensor([[1, 1, 0, 0, 0, 0, 1, 1, 1, 1]]).expand(3, -1)
    out = birau(with_gap, mask)
    torch.testing.assert_close(out[mask.bool()], birau(inputs).flatten(0, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("attention_gate", [True, False])
def test_gradcheck(attention_gate):
    torch.manual_seed(3)
    birau = BiRAU(3, 2, attention_gate=attention_gate).double()
    inputs = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    mask = mask_of([4, 2], 4)

    def run(x, *parameters):
        names = [name for name, _ in birau.named_parameters()]
        return torch.func.functional_call(
            birau, dict(zip(names, parameters, strict=True)), (x, mask)
        )

    assert torch.autograd.gradcheck(run, (inputs, *birau.parameters()))


# The fast form against the plain loop


def outputs_and_gradients(run, birau, inputs, mask):
    """The states, and the gradients of the inputs and of all weights for one fixed loss."""
    inputs = inputs.clone().requires_grad_()
    out = run(birau, inputs, mask)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out).cos()
    names, parameters = zip(*birau.named_parameters(), strict=True)
    gradients = torch.autograd.grad((out * weights).sum(), (inputs, *parameters))
    return {"out": out.detach(), **dict(zip(("inputs", *names), gradients, strict=True))}


def fast(birau, inputs, mask):
    return birau(inputs, mask)


def plain(birau, inputs, mask):
    padding = None if mask is None else mask == 0
    clean = inputs if mask is None else inputs.masked_fill(padding[..., None], 0.0)
    return birau.walk(clean, padding)


def gaps(batch, length):
    """Padding at random, a row with some in front, one with a hole, and one with nothing else."""
    mask = (torch.rand(batch, length, generator=torch.Generator().manual_seed(4)) < 0.7).long()
    mask[0], mask[0, :3] = 1, 0
    mask[1], mask[1, 4:7] = 1, 0
    mask[2] = 0
    return mask


@pytest.mark.parametrize("attention_gate", [True, False])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("block_rows", [1, 16, 512])  # one token, a few and an odd rest, all
@pytest.mark.parametrize("onednn_rows", [1, 10**9])  # every product, none
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_fast_form_equals_the_plain_loop(
    attention_gate, masked, block_rows, onednn_rows, dtype, atol, monkeypatch
):
    monkeypatch.setattr(birau_hybridsent, "_BLOCK_ROWS", block_rows)
    monkeypatch.setattr(birau_hybridsent, "ONEDNN_ROWS", onednn_rows)
    torch.manual_seed(5)
    birau = BiRAU(INPUT, HIDDEN, attention_gate).to(dtype)
    inputs, mask = torch.randn(5, 11, INPUT, dtype=dtype), gaps(5, 11) if masked else None
    got = outputs_and_gradients(fast, birau, inputs, mask)
    expected = outputs_and_gradients(plain, birau, inputs, mask)
    torch.testing.assert_close(got, expected, atol=atol, rtol=0)


def test_without_onednn_it_works_as_well(birau, inputs, monkeypatch):
    monkeypatch.setattr(birau_hybridsent, "ONEDNN_ROWS", 1)
    expected = outputs_and_gradients(fast, birau, inputs, None)
    monkeypatch.setattr(birau_hybridsent, "ONEDNN_LINEAR", None)
    got = outputs_and_gradients(fast, birau, inputs, None)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("garbage", [1e6, float("nan"), float("inf")])
def test_padding_changes_no_bit_of_any_gradient(birau, garbage):
    mask = gaps(5, 11)
    inputs = torch.randn(5, 11, INPUT)
    dirty = inputs.masked_fill(mask[..., None] == 0, garbage)
    got = outputs_and_gradients(fast, birau, dirty, mask)
    expected = outputs_and_gradients(fast, birau, inputs, mask)
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert not got["inputs"][mask == 0].any()
    assert not got["out"][mask == 0].any()


def test_the_state_passes_padding_to_the_bit(birau, inputs):
    """Even a very long gap loses nothing: the state after it is that before it."""
    gap = torch.zeros(3, 200, INPUT)
    with_gap = torch.cat([inputs[:, :3], gap, inputs[:, 3:]], dim=1)
    mask = torch.tensor([1] * 3 + [0] * 200 + [1] * 3).expand(3, -1)
    assert torch.equal(birau(with_gap, mask)[mask.bool()], birau(inputs).flatten(0, 1))


def test_first_derivatives_only(birau, inputs):
    inputs.requires_grad_()
    (gradient,) = torch.autograd.grad(birau(inputs).sum(), inputs, create_graph=True)
    assert torch.isfinite(gradient).all()
    with pytest.raises(NotImplementedError, match="BiRAU has first derivatives only"):
        gradient.square().sum().backward()


def test_a_graph_can_be_walked_twice(birau, inputs):
    loss = birau(inputs).square().sum()
    first = torch.autograd.grad(loss, tuple(birau.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, tuple(birau.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_frozen_weights_and_inputs(birau, inputs):
    expected = outputs_and_gradients(plain, birau, inputs, None)
    for name, parameter in birau.named_parameters():
        birau.requires_grad_(False)
        parameter.requires_grad_(True)
        out = birau(inputs)
        weights = torch.linspace(-1, 1, out.numel()).view_as(out).cos()
        (gradient,) = torch.autograd.grad((out * weights).sum(), parameter)
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=0)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointing_gives_the_same_gradients(birau, inputs, use_reentrant):
    def checkpointed(birau, inputs, mask):
        return checkpoint(birau, inputs, mask, use_reentrant=use_reentrant)

    def gradients(run):
        birau.zero_grad()
        x = inputs.clone().requires_grad_()
        run(birau, x, mask_of(LENGTHS, 6)).square().sum().backward()
        return [x.grad, *(parameter.grad for parameter in birau.parameters())]

    pairs = zip(gradients(checkpointed), gradients(fast), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("without_gradients", [torch.no_grad, torch.inference_mode])
def test_without_gradients_nothing_outlives_the_call(birau, inputs, without_gradients, monkeypatch):
    monkeypatch.setattr(birau_hybridsent, "_BLOCK_ROWS", 6)
    expected = birau(inputs)
    with without_gradients(), torch.profiler.profile(profile_memory=True) as profiler:
        out = birau(inputs)
    assert torch.equal(out, expected)
    assert out.grad_fn is None
    events = {event.key: event for event in profiler.key_averages()}
    kept = sum(event.self_cpu_memory_usage for event in events.values())
    assert kept == out.numel() * out.element_size()
    assert events["aten::new_empty"].count == 2  # the states, and one buffer for all three blocks


@pytest.mark.parametrize("attention_gate", [True, False])
def test_autocast_stays_close_and_gives_its_own_type(attention_gate):
    torch.manual_seed(6)
    birau = BiRAU(16, 8, attention_gate)
    inputs, mask = torch.randn(4, 60, 16), gaps(4, 60)

    def cast(birau, inputs, mask):
        with torch.autocast("cpu", torch.bfloat16):
            out = birau(inputs, mask)
            assert birau.walk(inputs, None).dtype == torch.bfloat16
        assert out.dtype == torch.bfloat16
        return out.float()

    got = outputs_and_gradients(cast, birau, inputs, mask)
    expected = outputs_and_gradients(fast, birau, inputs, mask)
    assert {tensor.dtype for tensor in got.values()} == {torch.float32}
    for name in expected:
        scale = expected[name].abs().max()
        torch.testing.assert_close(got[name] / scale, expected[name] / scale, atol=0.02, rtol=0)


def test_autocast_leaves_double_precision_alone(birau, inputs):
    birau, inputs = birau.double(), inputs.double()
    expected = birau(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(birau(inputs), expected)


def test_half_precision_keeps_small_updates_of_the_state():
    """Where z is near 1 a step changes the state by less than bfloat16 can add to it."""
    torch.manual_seed(7)
    birau = BiRAU(16, 8, attention_gate=False)
    with torch.no_grad():
        for unit in (birau.forward_unit, birau.backward_unit):
            unit.input_bias[8:16] = 6.0  # z
            unit.input_bias[16:24] = 2.0  # n
    inputs = torch.randn(2, 400, 16) * 0.1
    expected = birau(inputs)
    got = copy.deepcopy(birau).bfloat16()(inputs.bfloat16())
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_in_one_graph(birau, inputs, backend):
    compiled = torch.compile(birau, fullgraph=True, backend=backend)
    mask = mask_of(LENGTHS, 6)
    got = outputs_and_gradients(lambda _, x, mask: compiled(x, mask), birau, inputs, mask)
    expected = outputs_and_gradients(fast, birau, inputs, mask)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(compiled(inputs), birau(inputs), atol=0.02, rtol=0)


def test_exported_with_open_batch_and_length(birau, inputs):
    posts, tokens = torch.export.Dim("posts", max=64), torch.export.Dim("tokens", max=64)
    with torch.no_grad():
        program = torch.export.export(
            birau, (inputs, mask_of(LENGTHS, 6)), dynamic_shapes=({0: posts, 1: tokens},) * 2
        ).module()
        other = torch.randn(5, 11, INPUT)
        torch.testing.assert_close(
            program(other, gaps(5, 11)), birau(other, gaps(5, 11)), atol=1e-6, rtol=0
        )


def test_published_weights_keep_their_names_and_shapes(birau):
    shapes = {name: tuple(tensor.shape) for name, tensor in birau.state_dict().items()}
    one = {
        "input_weight": (5 * HIDDEN, INPUT),
        "recurrent_weight": (5 * HIDDEN, HIDDEN),
        "input_bias": (5 * HIDDEN,),
        "candidate_bias": (HIDDEN,),
    }
    units = ("forward_unit", "backward_unit")
    assert shapes == {f"{unit}.{name}": one[name] for unit in units for name in one}
