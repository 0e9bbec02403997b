"""BiRAU against torch.nn.GRU, its equations, and padding."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from modeling_hybridsent import BiRAU

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


def outputs_and_gradients(birau, inputs, mask):
    """States, and gradients of a sum of their squares by inputs and weights."""
    inputs = inputs.clone().requires_grad_()
    out = birau(inputs, mask)
    weights = [inputs, *birau.parameters()]
    return [out.detach(), *torch.autograd.grad(out.float().square().sum(), weights)]


@pytest.mark.parametrize("garbage", [1e6, float("nan"), float("inf")])
def test_padding_changes_no_bit_of_states_and_gradients(birau, inputs, garbage):
    mask = torch.tensor([[1, 0, 1, 1, 0, 0], [0, 1, 1, 0, 1, 1], [0] * 6])
    dirty = inputs.masked_fill(mask[..., None] == 0, garbage)
    got, expected = (outputs_and_gradients(birau, given, mask) for given in (dirty, inputs))
    assert all(torch.equal(x, y) for x, y in zip(got, expected, strict=True))
    assert not any(x[mask == 0].any() for x in got[:2])  # states, gradients of the inputs


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


def test_autocast_stays_close_and_gives_its_own_type(birau, inputs):
    expected = birau(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        out = birau(inputs)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, atol=0.02, rtol=0)


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
