"""A demo of one model: HYBRIDSENT_MODEL=DIR_OR_REPO python space/app.py."""

import os
from typing import Any

import gradio as gr
import pandas as pd
import torch
from PIL import Image
from transformers import AutoModelForSequenceClassification, AutoProcessor

DEFAULT_MODEL = "outputs/quickstart"
BRANCHES = ("text", "image", "fusion")

Answer = tuple[dict[str, float], pd.DataFrame]


def build_demo(model_name: str) -> gr.Blocks:
    """Load a model the way every user does and put a form around it.

    Args:
        model_name: Folder or Hub id.

    Returns:
        The page; its endpoint is /predict.
    """
    model = AutoModelForSequenceClassification.from_pretrained(model_name, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(model_name, trust_remote_code=True)
    model.eval()

    def named(logits: torch.Tensor) -> dict[str, float]:
        probabilities = logits[0].float().softmax(dim=-1).tolist()
        return {model.config.id2label[i]: p for i, p in enumerate(probabilities)}

    def predict(text: str, image: Image.Image | None) -> Answer:
        if not (text or "").strip() and image is None:
            raise gr.Error("Give a text, a picture or both.")
        with torch.inference_mode():
            outputs = model(**processor(text=[text], images=[image]))
        rows: list[dict[str, Any]] = [
            {
                "branch": name,
                "weight": round(weight, 3),
                **_rounded(named(outputs[f"{name}_logits"])),
            }
            for name, weight in zip(BRANCHES, outputs.decision_weights[0].tolist(), strict=True)
            if outputs.get(f"{name}_logits") is not None and weight > 0
        ]
        return named(outputs.logits), pd.DataFrame(rows)

    with gr.Blocks(title="hybridsent") as demo:
        gr.Markdown("# hybridsent\nWhat feeling does a post carry, and what decided?")
        with gr.Row():
            text = gr.Textbox(label="Text", lines=3)
            image = gr.Image(label="Picture", type="pil")
        button = gr.Button("Score", variant="primary")
        label = gr.Label(label="Calibrated decision")
        branches = gr.Dataframe(label="Weight and scores of each branch that took part")
        button.click(predict, [text, image], [label, branches], api_name="predict")
    return demo


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(score, 3) for name, score in scores.items()}


if __name__ == "__main__":
    build_demo(os.environ.get("HYBRIDSENT_MODEL", DEFAULT_MODEL)).launch()
