"""What decided, in plain words."""

from typing import Any

NAMES = {"text": "text", "image": "picture", "fusion": "fusion"}


def summary_of(answer: dict[str, Any]) -> str:
    """Say what each branch found and which of them decided.

    Args:
        answer: `label`, `score` and `branches` of an answer.

    Returns:
        One or two sentences.
    """
    branches, label = answer["branches"], answer["label"]
    if len(branches) == 1:
        name = next(iter(branches))
        if name == "fusion":
            return f"The fusion branch alone decides in this model: {label}."
        missing = "picture" if name == "text" else "text"
        return f"There is no {missing}, so the {NAMES[name]} alone decided: {label}."
    text, image = branches["text"]["label"], branches["image"]["label"]
    if text == image:
        found = f"The text and the picture both say {text}"
    else:
        found = f"The picture says {image}, the text {text}"
    decider = max(branches, key=lambda name: branches[name]["weight"])
    weight, said = branches[decider]["weight"], branches[decider]["label"]
    decided = f"the {NAMES[decider]} branch decided with weight {weight:.2f}: {label}"
    if said != label:  # the others outweighed it
        decided = f"the {NAMES[decider]} branch weighed most ({weight:.2f}) and said {said}, all together say {label}"  # noqa: E501
    return f"{found}; {decided}."


def warnings_about(answer: dict[str, Any], cut_to: int | None) -> list[str]:
    """Say what should make a reader careful.

    Args:
        answer: `agreement` and `familiar` of an answer.
        cut_to: Tokens that the text was cut to, None where it may be whole.

    Returns:
        Sentences, none where there is nothing to say.
    """
    warnings = []
    if answer["agreement"] is False:
        warnings.append(
            "The text and the picture contradict each other: look at the post yourself."
        )
    if answer["familiar"] is False:
        warnings.append(
            "This post is unlike what the model knows: its energy is above that of 95 % of the "
            "validation posts. Trust the probability less."
        )
    if cut_to is not None:
        warnings.append(f"The model reads {cut_to} tokens; what follows in the text did not count.")
    return warnings
