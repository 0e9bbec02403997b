"""The bidirectional recurrent attention unit (BiRAU), row S4 of the system.

Source: Zhong, Yue, Ling, "Recurrent Attention Unit", arXiv:1810.12754 (2018), and Niu, Zhong et al.,
Neurocomputing 517 (2023) 1-9, doi 10.1016/j.neucom.2022.10.050. Neither text was at hand: the
equations are second-hand, from two independent re-implementations that agree with each other. One
step of the 2023 form, with `*` elementwise and the reset gate applied after the matrix product as in
`torch.nn.GRU`:

    r = sigmoid(W_r x + U_r h + b_r)                reset gate
    z = sigmoid(W_z x + U_z h + b_z)                update gate
    n = tanh(W_n x + b_n + r * (U_n h + c_n))       candidate state
    a = softmax(W_c x + U_c h + b_c)                attention over the hidden units
    g = a * relu(W_g x + U_g h + b_g)               attended state
    h' = (1 - z) * n + z * h + g

Without the attention gate (a = 0) a step is exactly one of `torch.nn.GRU`.

`RAU.walk` is that text as a plain loop. `BiRAU` computes the same faster: the input's product at once
for a block of tokens, then one product and a few elementwise operations a token for both directions
together, and gradients written out by hand. A buffer holds, side by side for every token, S slots of H
numbers (S = 6, or 4 without the attention gate):

    n  r  z  c  g  u        where u = U_n h + c_n

The input's product fills the first S - 1 of them, the state's is added to the last S - 1.
"""

from typing import Any

import torch
from torch import nn


class RAU(nn.Module):
    """Run a recurrent attention unit over a sequence in one direction.

    Args:
        input_size: Width of the input.
        hidden_size: Hidden units (H).
        reverse: Walk the sequence from its end to its start.
        attention_gate: False drops the attended state `g`, which leaves a GRU.

    The weights hold the gates in the order r, z, n, c, g along their first axis, as `torch.nn.GRU`
    holds r, z, n.
    """

    def __init__(
        self, input_size: int, hidden_size: int, reverse: bool = False, attention_gate: bool = True
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.reverse = reverse
        self.attention_gate = attention_gate
        gates = 5 if attention_gate else 3
        self.input_weight = nn.Parameter(torch.empty(gates * hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(gates * hidden_size, hidden_size))
        self.input_bias = nn.Parameter(torch.empty(gates * hidden_size))
        self.candidate_bias = nn.Parameter(torch.empty(hidden_size))  # c_n
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights from U(-1/sqrt(H), 1/sqrt(H)), as `torch.nn.GRU` does."""
        bound = self.hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def step(self, from_input: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Advance the state by one token.

        Args:
            from_input: W x + b of all gates, (batch, gates * H).
            hidden: State before the token, (batch, H).

        Returns:
            State after the token, (batch, H).
        """
        from_state = nn.functional.linear(hidden, self.recurrent_weight)
        return _next_state(from_input, from_state, self.candidate_bias, hidden)

    def forward(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the weights in the order of the slots, for `BiRAU`.

        It is a call so that hooks run which bring in weights kept elsewhere.

        Returns:
            Weights of n, r, z, c, g for the input, ((S - 1) * H, input_size); of r, z, c, g, u for the
            state, ((S - 1) * H, H); biases of all slots, (S * H,).
        """
        gates = 5 if self.attention_gate else 3
        r, z, n, *attended = self.input_weight.chunk(gates)
        input_weight = torch.cat([n, r, z, *attended])
        r, z, n, *attended = self.recurrent_weight.chunk(gates)
        recurrent_weight = torch.cat([r, z, *attended, n])
        r, z, n, *attended = self.input_bias.chunk(gates)
        return input_weight, recurrent_weight, torch.cat([n, r, z, *attended, self.candidate_bias])

    def walk(self, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the state after every token, zero at padding.

        Args:
            hidden_states: Inputs, (batch, length, input_size); finite also at padding.
            mask: True at real tokens, (batch, length); a padded position leaves the state alone.

        Returns:
            States, (batch, length, H).
        """
        from_input = nn.functional.linear(hidden_states, self.input_weight, self.input_bias)
        hidden = from_input.new_zeros(from_input.shape[0], self.hidden_size)
        steps = range(hidden_states.shape[1])
        states = [hidden] * len(steps)
        for t in reversed(steps) if self.reverse else steps:
            real = mask[:, t, None]  # (batch, 1)
            hidden = torch.where(real, self.step(from_input[:, t], hidden), hidden)
            states[t] = hidden
        out = torch.stack(states, dim=1).masked_fill(~mask[..., None], 0.0)
        return out.to(from_input.dtype)  # under autocast the softmax made it float32


def _next_state(
    from_input: torch.Tensor,
    from_state: torch.Tensor,
    candidate_bias: torch.Tensor,
    hidden: torch.Tensor,
) -> torch.Tensor:
    """Compute one step of the equations, with or without the attention gate, by the number of gates.

    Args:
        from_input: W x + b of all gates, (..., gates * H).
        from_state: U h of all gates, (..., gates * H).
        candidate_bias: c_n, broadcast to (..., H).
        hidden: State before the token, (..., H).

    Returns:
        State after the token, (..., H).
    """
    gates = from_input.shape[-1] // hidden.shape[-1]
    x, u = from_input.chunk(gates, dim=-1), from_state.chunk(gates, dim=-1)  # each (..., H)
    reset = torch.sigmoid(x[0] + u[0])
    update = torch.sigmoid(x[1] + u[1])
    candidate = torch.tanh(x[2] + reset * (u[2] + candidate_bias))
    new_hidden = (1 - update) * candidate + update * hidden
    if gates == 5:
        attention = torch.softmax(x[3] + u[3], dim=-1)
        new_hidden = new_hidden + attention * torch.relu(x[4] + u[4])
    return new_hidden


# Rows (tokens times posts) of a block: enough for full speed of its products, few enough for its
# buffers to stay near the processor and to be had again from the memory that the last block freed.
_BLOCK_ROWS = 512
# The product that compiled models use. On an AMD processor it took half the time of the library
# behind `torch.bmm`; fewer rows are not worth its call. It has no public name, so all works without.
ONEDNN_LINEAR: Any = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if torch.backends.mkldnn.is_available()
    else None
)
ONEDNN_ROWS = 16


def _advance(
    inputs: torch.Tensor,
    padding: torch.Tensor | None,
    input_weight: torch.Tensor,
    recurrent_weight: torch.Tensor,
    bias: torch.Tensor,
    states: torch.Tensor,
    buffer: torch.Tensor,
) -> None:
    """Run both directions (D = 2), each over its own sequence, through a block of T tokens.

    Args:
        inputs: (D, T, batch, input_size).
        padding: True where a token leaves the state alone, (D, T, batch); None for nowhere.
        input_weight: (D, (S - 1) * H, input_size), of the inputs' type.
        recurrent_weight: (D, (S - 1) * H, H), of the inputs' type.
        bias: (D, S * H), of the states' type: the inputs', but at least float32.
        states: The state before the block, then room for the T after its tokens, which are written,
            (D, T + 1, batch, H).
        buffer: Room for all slots after their activation functions, (D, T, batch, S * H).
    """
    width = states.shape[-1]
    buffer.copy_(bias[:, None, None])
    from_input = buffer[..., :-width].flatten(1, 2)  # (D, T * batch, (S - 1) * H)
    _add_product(from_input, inputs.flatten(1, 2), input_weight.transpose(1, 2))
    n, r, z, *attended, u = buffer.unflatten(-1, (-1, width)).unbind(3)  # (D, T, batch, H)
    if padding is not None:
        # z = 1 keeps the state to the bit; with g = 0 all gradients vanish there by themselves.
        z.masked_fill_(padding[..., None], torch.inf)
        if attended:
            attended[1].masked_fill_(padding[..., None], -torch.inf)
    minus_one = torch.full((), -1.0, dtype=n.dtype, device=n.device)
    n.mul_(2.0)  # tanh(x) = 2 sigmoid(2 x) - 1, at a third of the time that tanh takes
    state, *after = states.unbind(1)  # (D, batch, H)
    transposed = recurrent_weight.transpose(1, 2)  # (D, H, (S - 1) * H)
    # The views of all tokens are taken at once: singly they would cost as much as the arithmetic.
    parts = (buffer[..., width:], buffer[..., width : 3 * width], n, r, z, u, *attended)
    tokens = zip(after, *(part.unbind(1) for part in parts), strict=True)
    for new_state, from_state, reset_and_update, n, r, z, u, *attended in tokens:
        _add_product(from_state, state.to(inputs.dtype), transposed)
        reset_and_update.sigmoid_()
        torch.add(minus_one, n.addcmul_(r, u, value=2.0).sigmoid_(), alpha=2.0, out=n)
        state = torch.lerp(n, state, z, out=new_state)
        if attended:
            c, g = attended
            state.addcmul_(torch.softmax(c, dim=-1, out=c), g.relu_())


def _write_slopes(buffer: torch.Tensor, states: torch.Tensor, slopes: torch.Tensor) -> None:
    """Differentiate each new state by what the activation functions took, for a whole block.

    Args:
        buffer: Slots after their activation functions, as `_advance` leaves them.
        states: The states before each token, (D, T, batch, H).
        slopes: Room for the elementwise derivatives, (D, T, batch, S * H). That by c still lacks
            the part which comes through the softmax's sum over the hidden units.
    """
    width = states.shape[-1]
    n, r, z, *attended, u = buffer.unflatten(-1, (-1, width)).unbind(3)
    by_n, by_r, by_z, *by_attended, by_u = slopes.unflatten(-1, (-1, width)).unbind(3)
    torch.addcmul(n.new_ones(()), n, n, value=-1.0, out=by_n)
    by_n.addcmul_(by_n, z, value=-1.0)  # (1 - n^2) (1 - z)
    torch.mul(by_n, r, out=by_u)
    torch.mul(by_u, u, out=by_r)
    by_r.addcmul_(by_r, r, value=-1.0)  # by_n u r (1 - r)
    torch.sub(states, n, out=by_z).mul_(z)
    by_z.addcmul_(by_z, z, value=-1.0)  # (h - n) z (1 - z)
    if attended:
        (a, g), (by_c, by_g) = attended, by_attended
        torch.mul(a, g, out=by_c)
        torch.sign(g, out=by_g).mul_(a)


def _retreat(
    grad: torch.Tensor,
    carried: torch.Tensor,
    buffer: torch.Tensor,
    states: torch.Tensor,
    recurrent_weight: torch.Tensor,
    by_slot: torch.Tensor,
) -> None:
    """Carry gradients back through a block of T tokens.

    Args:
        grad: Gradients of the states after each token, (D, T, batch, H).
        carried: What later tokens add to that of the last one, (D, batch, H); overwritten by what
            this block adds to the one before it.
        buffer: As `_advance` leaves it.
        states: The states before each token, (D, T, batch, H).
        recurrent_weight: As for `_advance`.
        by_slot: Room for the gradients of what the activation functions took, (D, T, batch, S * H).
    """
    width = states.shape[-1]
    _write_slopes(buffer, states, by_slot)  # the loop multiplies each token's by its gradient
    slots = by_slot.unflatten(-1, (-1, width))  # (D, T, batch, S, H)
    _, _, z, *attended, _ = buffer.unflatten(-1, (-1, width)).unbind(3)
    parts = [grad, z, slots, by_slot[..., width:]]
    if attended:
        parts += [slots[..., 3, :], attended[0]]
    tokens = zip(*(part.unbind(1) for part in parts), strict=True)
    for new, z, by_all, by_recurrent, *attended in reversed(list(tokens)):
        carried.add_(new)
        by_all.mul_(carried[:, :, None])
        if attended:
            by_c, a = attended
            by_c.addcmul_(a, by_c.sum(dim=-1, keepdim=True), value=-1.0)
        _add_product(carried.mul_(z), by_recurrent.to(recurrent_weight.dtype), recurrent_weight)


def _both_ways(sequence: torch.Tensor, start: int, end: int) -> torch.Tensor:
    """Return a block of tokens as each direction meets them: (length, ...) -> (D, T, ...)."""
    length = len(sequence)
    return torch.stack([sequence[start:end], sequence[length - end : length - start].flip(0)])


class _Recurrence(torch.autograd.Function):
    """Both directions' states after each token, with gradients written out by hand."""

    @staticmethod
    def forward(
        ctx: Any,
        differentiable: bool,
        inputs: torch.Tensor,
        padding: torch.Tensor | None,
        input_weight: torch.Tensor,
        recurrent_weight: torch.Tensor,
        bias: torch.Tensor,
    ) -> torch.Tensor:
        """Return the states in the order of each direction's walk, (D, length, batch, H).

        Takes what `_advance` takes, but inputs (length, batch, input_size) and padding (length,
        batch) of whole sequences. Unless the result shall be `differentiable`, all blocks use one
        buffer and none is kept.
        """
        length, batch, _ = inputs.shape
        directions = len(bias)
        states = bias.new_empty(directions, length + 1, batch, recurrent_weight.shape[-1])
        states[:, 0] = 0.0
        ctx.block = max(1, min(length, _BLOCK_ROWS // max(1, batch)))
        weights = (input_weight, recurrent_weight, bias)
        buffers: list[torch.Tensor] = []
        with torch.autocast(inputs.device.type, enabled=False):
            for start in range(0, length, ctx.block):
                end = min(start + ctx.block, length)
                block_inputs = _both_ways(inputs, start, end)
                block_padding = None if padding is None else _both_ways(padding, start, end)
                if differentiable or not buffers:
                    buffers.append(bias.new_empty(directions, ctx.block, batch, bias.shape[-1]))
                buffer = buffers[-1][:, : end - start]
                block_states = states[:, start : end + 1]
                _advance(block_inputs, block_padding, *weights, block_states, buffer)
        if differentiable:
            ctx.save_for_backward(inputs, *weights, states, *buffers)
        return states[:, 1:]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of what `forward` took."""
        by_inputs, *by_weights = _RecurrenceGradients.apply(ctx.block, grad, *ctx.saved_tensors)
        return None, by_inputs, None, *by_weights


class _RecurrenceGradients(torch.autograd.Function):
    """The gradients of `_Recurrence`: a function of its own only to refuse its own gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        block: int,
        grad: torch.Tensor,
        inputs: torch.Tensor,
        input_weight: torch.Tensor,
        recurrent_weight: torch.Tensor,
        bias: torch.Tensor,
        states: torch.Tensor,
        *buffers: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Return the gradients of inputs, input weight, recurrent weight and bias."""
        width = states.shape[-1]
        length = len(inputs)
        by_inputs = torch.zeros_like(inputs)
        by_input_weight = torch.zeros_like(input_weight, dtype=bias.dtype)
        by_recurrent_weight = torch.zeros_like(recurrent_weight, dtype=bias.dtype)
        by_bias = torch.zeros_like(bias)
        carried = torch.zeros_like(states[:, 0])
        with torch.autocast(inputs.device.type, enabled=False):
            room = torch.empty_like(buffers[0])
            for i in reversed(range(len(buffers))):
                start, end = i * block, min((i + 1) * block, length)
                block_inputs = _both_ways(inputs, start, end).flatten(1, 2)
                before = states[:, start:end]  # (D, T, batch, H)
                buffer, by_slot = (x[:, : end - start] for x in (buffers[i], room))
                _retreat(grad[:, start:end], carried, buffer, before, recurrent_weight, by_slot)
                by_slot = by_slot.flatten(1, 2)  # (D, T * batch, S * H)
                by_bias += by_slot.sum(dim=1)
                by_slot, before = by_slot.to(inputs.dtype), before.to(inputs.dtype)
                from_state, from_input = by_slot[..., width:], by_slot[..., :-width]
                there, back = _product(from_input, input_weight).unflatten(1, before.shape[1:3])
                by_inputs[start:end] += there  # (T, batch, input_size)
                by_inputs[length - end : length - start] += back.flip(0)
                _add_product(by_input_weight, from_input.transpose(1, 2), block_inputs)
                _add_product(by_recurrent_weight, from_state.transpose(1, 2), before.flatten(1, 2))
        return by_inputs, by_input_weight, by_recurrent_weight, by_bias

    @staticmethod
    def backward(ctx: Any, *_grads: torch.Tensor | None) -> None:
        """Refuse."""
        raise NotImplementedError(
            "BiRAU has first derivatives only: its gradients cannot be differentiated again."
        )


def _use_onednn(left: torch.Tensor) -> bool:
    """Check whether oneDNN should multiply: float32 on a CPU, and more than a few rows."""
    return (
        ONEDNN_LINEAR is not None
        and left.dtype == torch.float32
        and left.device.type == "cpu"
        and left.shape[1] >= ONEDNN_ROWS
    )


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Multiply for each direction: (D, n, k), (D, k, m) -> (D, n, m)."""
    if not _use_onednn(left):
        return torch.bmm(left, right)
    pairs = zip(left.unbind(0), right.transpose(1, 2).unbind(0), strict=True)
    return torch.stack([ONEDNN_LINEAR(x, w, None, "none", [], "") for x, w in pairs])


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """Add products of factors of the same or of half precision: (D, n, k), (D, k, m), (D, m, n)."""
    if _use_onednn(left):
        transposed = right.transpose(1, 2)
        for one, x, w in zip(total.unbind(0), left.unbind(0), transposed.unbind(0), strict=True):
            one.add_(ONEDNN_LINEAR(x, w, None, "none", [], ""))
    elif left.dtype == total.dtype:
        total.baddbmm_(left, right)
    else:
        total.add_(torch.bmm(left, right))


class BiRAU(nn.Module):
    """Run a forward and a backward recurrent attention unit and concatenate their states (S4).

    Args:
        input_size: Width of the input.
        hidden_size: Hidden units per direction (H).
        attention_gate: False drops the attended state, which leaves a bidirectional GRU.
    """

    def __init__(self, input_size: int, hidden_size: int, attention_gate: bool = True) -> None:
        super().__init__()
        self.forward_unit = RAU(input_size, hidden_size, attention_gate=attention_gate)
        self.backward_unit = RAU(
            input_size, hidden_size, reverse=True, attention_gate=attention_gate
        )

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return both directions' states at every token.

        Padding, wherever it stands, does not move the state: the backward direction starts at the
        last real token, and what padded positions hold does not reach the output.

        Args:
            hidden_states: Inputs, (batch, length, input_size).
            attention_mask: Non-zero at real tokens, (batch, length); None means no padding.

        Returns:
            States, (batch, length, 2 * hidden_size), zero at padding.
        """
        padding = None if attention_mask is None else ~attention_mask.bool()
        if padding is not None:
            # Zero, not multiply: a NaN in a padded position must not survive.
            hidden_states = hidden_states.masked_fill(padding[..., None], 0.0)
        if torch.compiler.is_compiling():  # also while exporting
            # A compiler wants operations that it can see through, differentiate and fuse.
            return self.walk(hidden_states, padding)
        padding = None if padding is None else padding.T
        states = self._recur(hidden_states.transpose(0, 1), padding)
        if padding is not None:
            states = states.masked_fill(padding[..., None], 0.0)
        return states.transpose(0, 1)

    def walk(self, hidden_states: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        """Compute what `forward` does in the plain way, one direction and one token at a time.

        Args:
            hidden_states: Inputs, (batch, length, input_size); finite also at padding.
            padding: True at padding, (batch, length); None for no padding.

        Returns:
            States, (batch, length, 2 * hidden_size), zero at padding.
        """
        if padding is None:
            padding = hidden_states.new_zeros(hidden_states.shape[:2], dtype=torch.bool)
        if torch.compiler.is_exporting() and isinstance(hidden_states.shape[1], torch.SymInt):
            return self._scan(hidden_states, ~padding).masked_fill(padding[..., None], 0.0)
        units = (self.forward_unit, self.backward_unit)
        return torch.cat([unit.walk(hidden_states, ~padding) for unit in units], dim=-1)

    def _scan(self, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Walk both ways at once through a sequence whose length `torch.export` leaves open.

        A Python loop would fix the length; what it computes is the same.

        Args:
            hidden_states: Inputs, (batch, length, input_size).
            mask: True at real tokens, (batch, length).

        Returns:
            States, (batch, length, 2 * hidden_size).
        """
        from torch._higher_order_ops.scan import scan  # has no public name yet

        units = (self.forward_unit, self.backward_unit)
        there, back = (
            nn.functional.linear(hidden_states, unit.input_weight, unit.input_bias)
            for unit in units
        )
        from_input = torch.stack([there, back.flip(1)])  # (D, batch, length, gates * H)
        real = torch.stack([mask, mask.flip(1)])[..., None]

        def step(
            state: torch.Tensor, token: tuple[torch.Tensor, torch.Tensor]
        ) -> tuple[torch.Tensor, torch.Tensor]:
            # Stacked outside they would be values of the outer graph, which OpenVINO does not find.
            recurrent_weight = torch.stack([unit.recurrent_weight.T for unit in units])
            candidate_bias = torch.stack([unit.candidate_bias[None] for unit in units])
            from_state = torch.bmm(state, recurrent_weight)
            new_state = _next_state(token[0], from_state, candidate_bias, state)
            state = torch.where(token[1], new_state, state)
            return state, state.clone()

        hidden = from_input.new_zeros(2, mask.shape[0], self.forward_unit.hidden_size)
        tokens = (from_input.movedim(2, 0), real.movedim(2, 0))
        there, back = scan(step, hidden, tokens, dim=0)[1].unbind(1)  # (length, batch, H)
        return torch.cat([there, back.flip(0)], dim=-1).transpose(0, 1)

    def _recur(self, hidden_states: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        """Run both directions together, as if the second read a sequence of its own.

        Args:
            hidden_states: Inputs, (length, batch, input_size).
            padding: True at padding, (length, batch); None for no padding.

        Returns:
            States, (length, batch, 2 * hidden_size), in the type of the inputs or of autocast.
        """
        weights = zip(self.forward_unit(), self.backward_unit(), strict=True)
        input_weight, recurrent_weight, bias = (torch.stack(pair) for pair in weights)
        kind = hidden_states.device.type
        if torch.is_autocast_enabled(kind) and hidden_states.dtype != torch.float64:
            dtype = torch.get_autocast_dtype(kind)
            hidden_states, input_weight, recurrent_weight = (
                tensor.to(dtype) for tensor in (hidden_states, input_weight, recurrent_weight)
            )
        # Half precision would lose small updates of a state over a long sequence: only products
        # are taken in it.
        bias = bias.to(torch.promote_types(hidden_states.dtype, torch.float32))
        states = _Recurrence.apply(
            torch.is_grad_enabled(), hidden_states, padding, input_weight, recurrent_weight, bias
        )
        there, back = states.to(hidden_states.dtype).unbind(0)  # (length, batch, hidden_size)
        return torch.cat([there, back.flip(0)], dim=-1)
