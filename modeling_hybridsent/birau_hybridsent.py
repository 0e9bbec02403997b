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
"""

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
        self.gates = 5 if attention_gate else 3
        self.input_weight = nn.Parameter(torch.empty(self.gates * hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(self.gates * hidden_size, hidden_size))
        self.input_bias = nn.Parameter(torch.empty(self.gates * hidden_size))
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
        x, u = from_input.chunk(self.gates, dim=-1), from_state.chunk(self.gates, dim=-1)
        reset = torch.sigmoid(x[0] + u[0])  # (batch, H), as all below
        update = torch.sigmoid(x[1] + u[1])
        candidate = torch.tanh(x[2] + reset * (u[2] + self.candidate_bias))
        new_hidden = (1 - update) * candidate + update * hidden
        if self.attention_gate:
            attention = torch.softmax(x[3] + u[3], dim=-1)
            new_hidden = new_hidden + attention * torch.relu(x[4] + u[4])
        return new_hidden

    def forward(self, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the state after every token.

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
        return torch.stack(states, dim=1).to(from_input.dtype)  # autocast's softmax gives float32


class BiRAU(nn.Module):
    """Run a forward and a backward recurrent attention unit and concatenate their states (S4).

    It is made for short sequences: each token is a step of a Python loop, and an exported model has
    its steps one by one, so their number is fixed there.

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
        if attention_mask is None:
            mask = hidden_states.new_ones(hidden_states.shape[:2], dtype=torch.bool)
        else:
            mask = attention_mask.bool()
        padding = ~mask[..., None]
        # Zero, not multiply: a NaN in a padded position must not survive.
        hidden_states = hidden_states.masked_fill(padding, 0.0)
        units = (self.forward_unit, self.backward_unit)
        states = torch.cat([unit(hidden_states, mask) for unit in units], dim=-1)
        return states.masked_fill(padding, 0.0)
