"""The JSON files of a processor, of which one is damaged."""

from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tiny_models import picture, save_tiny

from fuzzing.mutations import damaged_json
from modeling_hybridsent import HybridSentProcessor

FILES = ("processor_config.json", "tokenizer_config.json", "tokenizer.json")
PICTURES = "preprocessor_config.json"
WORDS = [
    "ViTImageProcessor", "CLIPImageProcessor", "BertTokenizer", "[PAD]", "left",
    "max_length", {"shortest_edge": 32}, {"height": 8, "width": 8}, {"longest_edge": 9},
    [0.5] * 3, 10**6, "longest_first", "do_not_truncate", "WordPiece", "BPE", "Unigram",
]  # fmt: skip


class ProcessorFiles:
    """The processor of a tiny model in a folder."""

    names = (*FILES, PICTURES)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        save_tiny(folder)
        self.good = {name: (folder / name).read_bytes() for name in FILES}
        self.inputs = st.one_of(
            st.tuples(st.just(name), damaged_json([content], WORDS))
            for name, content in (*self.good.items(), (PICTURES, self.good[FILES[0]]))
        )

    def attempt(self, value: Any) -> None:
        """Load the processor and process a post."""
        name, content = value
        for file, good in self.good.items():
            (self.folder / file).write_bytes(good)
        (self.folder / PICTURES).unlink(missing_ok=True)
        (self.folder / name).write_bytes(content)
        processor = HybridSentProcessor.from_pretrained(self.folder)
        inputs = processor(text=["a sun", None], images=[None, picture()])
        assert set(inputs) == set(processor.model_input_names)
        assert inputs["pixel_values"].isfinite().all()
