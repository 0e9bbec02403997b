"""What docs/encoders.md says of each encoder is so: it works wholly, or is refused at once."""

import tempfile

import pytest
import torch
from tiny_encoders import PAGE, TEXT, VISION, build, inputs_of

from modeling_hybridsent import HybridSentForSequenceClassification

CASES = [("text", name) for name in TEXT] + [("vision", name) for name in VISION]


def verdict(modality, name):
    """Return what the table says of an encoder, after trying it."""
    try:
        model = build(modality, name)
    except ValueError as error:
        message, tested = str(error).split(" Tested ")
        assert tested.startswith(f"{modality} encoders: ")
        return "refused: " + message.split(" cannot be used: ")[1].rstrip(".")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        again = HybridSentForSequenceClassification.from_pretrained(folder)
    loaded = again.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())
    inputs = inputs_of(model.config)
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, model.eval()(**inputs).logits)
    again.train()(**inputs, labels=torch.tensor([0, 1])).loss.backward()
    require_room_for_positions(model)
    trained = [(x, p) for x, p in again.named_parameters() if p.requires_grad]
    assert [x for x, p in trained if p.grad is None] == []  # else plain DDP stops at step 2
    return "works"


def require_room_for_positions(model):
    """The longest text that is allowed works, one token more is a named error."""
    most = model.hybridsent.positions
    if most is None:
        return
    assert 60 <= most <= 64
    with torch.no_grad():
        assert model(**inputs_of(model.config, most)).logits.isfinite().all()
    with pytest.raises(ValueError, match=f"has {most + 1} tokens, .* max_length={most} or less"):
        model(**inputs_of(model.config, most + 1))


def line(modality, name):
    return f"| {modality} | {name} | {verdict(modality, name)} |"


@pytest.mark.parametrize(("modality", "name"), CASES)
def test_the_page_says_what_happens(modality, name):
    assert line(modality, name) in PAGE.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":  # prints the table for the page
    print("\n".join(line(*case) for case in CASES))
