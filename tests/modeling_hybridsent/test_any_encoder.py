"""What docs/encoders.md says of each encoder is so: it works wholly, or is refused at once."""

import tempfile
from pathlib import Path

import pytest
import torch
from tiny_encoders import TEXT, VISION, tiny_encoder_config
from tiny_models import LABELS, TEXT_CONFIGS, VISION_CONFIGS

from modeling_hybridsent import HybridSentConfig, HybridSentForSequenceClassification

PAGE = Path(__file__).parents[2] / "docs" / "encoders.md"
CASES = [("text", name) for name in TEXT] + [("vision", name) for name in VISION]
SIZES = {"hidden_size": 16, "intermediate_size": 24, "recurrent_hidden_size": 6}


def build(modality, name):
    text, vision = TEXT_CONFIGS["bert"](), VISION_CONFIGS["vit"]()
    if modality == "text":
        text = tiny_encoder_config(name)
    else:
        vision = tiny_encoder_config(name)
    config = HybridSentConfig.from_vision_text_configs(
        vision, text, **SIZES, num_attention_heads=2, id2label=LABELS
    )
    return HybridSentForSequenceClassification(config)


def inputs_of(config):
    generator = torch.Generator().manual_seed(0)
    sizes = getattr(config.vision_config, "image_size", None) or 64
    size = sizes if isinstance(sizes, int) else max(sizes)
    return {
        "input_ids": torch.randint(5, 60, (2, 9), generator=generator),
        "attention_mask": torch.ones(2, 9, dtype=torch.long),
        "pixel_values": torch.randn(2, 3, size, size, generator=generator),
    }


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
    trained = [(x, p) for x, p in again.named_parameters() if p.requires_grad]
    assert [x for x, p in trained if p.grad is None] == []  # else plain DDP stops at step 2
    return "works"


def line(modality, name):
    return f"| {modality} | {name} | {verdict(modality, name)} |"


@pytest.mark.parametrize(("modality", "name"), CASES)
def test_the_page_says_what_happens(modality, name):
    assert line(modality, name) in PAGE.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":  # prints the table for the page
    print("\n".join(line(*case) for case in CASES))
