"""The tabs "About" and "API": what the model is, what it was measured to be, how to call it."""

import base64
import os
import re
from pathlib import Path

from hybridsent_space.limits import limits_markdown
from hybridsent_space.model import LoadedModel
from hybridsent_space.settings import Settings

FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)")

API = """
Both forms are endpoints that a program can call; the link "Use via API" at the foot of the page shows them, too.

```python
from gradio_client import Client, handle_file

client = Client("{address}")
print(client.predict(text="so fed up", image=None, api_name="/predict"))
print(client.predict(text=None, image=handle_file("photo.jpg"), api_name="/predict"))
print(client.predict("so fed up", handle_file("photo.jpg"), api_name="/explain"))
summary, files = client.predict(file=handle_file("posts.csv"), api_name="/predict_table")
```

`/predict(text, image)` gives one JSON object: `label`, `score` (calibrated probability), `scores` of all labels, `branches`
(`text`, `image`, `fusion`: `weight`, `label`, `score`, `scores`), `agreement` of text and image, `energy`, `familiar`, `summary`,
`warnings`. A post that cannot be scored gives an object with only `error`. Posts of several callers are scored together,
{batch} at once; who finds {waiting} requests waiting is told to come back.

`/explain(text, image)` gives what did it: `shares` of text and image, probabilities `without` each, `words` and `regions` with their
effect on the label's probability.

`/predict_table(file)` takes CSV, JSONL, Parquet or ZIP and gives a summary and the files `scored.csv` and `scored.parquet`: every row in
its order; one that failed says why in the column `error`. In the CSV file a cell that a spreadsheet would run as a formula begins with an
apostrophe; the Parquet file holds texts as they came.

`/score_post(text, image)` is for agents, which find it as a tool of the Model Context Protocol at `{address}/gradio_api/mcp/`. Its image is
the file in base64, "data:image/png;base64,..."; it gives the object of `/predict` as a text, or an error.

Images are JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, by their content. Files must be uploaded; addresses are not fetched. What is uploaded
lies in a temporary folder and is deleted after one to two hours; a shared result stays until the server ends or {shared} newer ones came.

Limits of this server, and what it says beyond them:

{limits}
"""  # noqa: E501


def facts(loaded: LoadedModel) -> str:
    """Return the description of the model in Markdown."""
    metrics, config = loaded.metrics, loaded.model.config
    lines = [
        f"| model | `{loaded.name}` |",
        "|---|---|",
        f"| commit | {f'`{loaded.commit}`' if loaded.commit else 'a folder on this machine'} |",
        f"| labels | {', '.join(loaded.labels)} |",
        f"| encoders | {config.text_config.model_type}, {config.vision_config.model_type} |",
        f"| passes by | {'the model' if loaded.graph is None else 'its graph of OpenVINO'} |",
        f"| parameters | {sum(p.numel() for p in loaded.model.parameters()):,} |",
        f"| temperature of posts with both | {config.temperature:.3f} |",
        f"| temperature of a text alone | {config.text_only_temperature:.3f} |",
        f"| temperature of an image alone | {config.image_only_temperature:.3f} |",
        f"| temperature of the decision's weights | {config.decision_weight_temperature:.3f} |",
    ]
    calibration = metrics.get("calibration", {})
    limits = calibration.get("energy_limits", {})
    told = ", ".join(f"{name} {limit:.2f}" for name, limit in limits.items())
    lines.append(f"| energy limits | {told or 'not measured: no post is called unfamiliar'} |")
    if not metrics:
        lines.append("| measured | no metrics.json was published with this model |")
    return "\n".join(lines)


def card_markdown(loaded: LoadedModel) -> str:
    """Return the model card without its header, its own images inside, others left out."""

    def draw(match: re.Match) -> str:
        file = Path(os.path.normpath(loaded.folder / match[2]))
        if "://" in match[2] or not file.is_relative_to(loaded.folder) or file.suffix != ".png":
            return match[1]
        if not file.is_file():
            return match[1]
        content = base64.b64encode(file.read_bytes()).decode()
        return f"![{match[1]}](data:image/png;base64,{content})"

    card = PICTURE.sub(draw, FRONT_MATTER.sub("", loaded.card))
    return card or "No model card was published with this model."


def api_markdown(settings: Settings) -> str:
    """Return how to call the endpoints, and within which limits."""
    return API.format(
        address="http://127.0.0.1:7860",
        batch=settings.batch_size,
        waiting=settings.max_waiting,
        shared=settings.max_shared_results,
        limits=limits_markdown(settings),
    )
