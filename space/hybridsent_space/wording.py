"""What decided, in plain words."""

from typing import Any

from modeling_hybridsent.answers_hybridsent import Answer


def summary_of(answer: Answer) -> str:
    """Return one or two sentences: what each branch found and which of them decided."""
    branches, label = answer.branches, answer.label
    if answer.problem_type == "regression":
        said = [f"the {name} {x.score:.3g} (weight {x.weight:.2f})" for name, x in branches.items()]
        return f"The score is a weighted mean: {', '.join(said)}."
    if len(branches) == 1:
        name = next(iter(branches))
        if name == "fusion":
            return f"The fusion branch alone decides in this model: {label}."
        missing = "image" if name == "text" else "text"
        return f"There is no {missing}, so the {name} alone decided: {label}."
    text, image = branches["text"].label, branches["image"].label
    if text == image:
        found = f"The text and the image both say {text}"
    else:
        found = f"The image says {image}, the text {text}"
    decider = max(branches, key=lambda name: branches[name].weight)
    weight, said = branches[decider].weight, branches[decider].label
    decided = f"the {decider} branch decided with weight {weight:.2f}: {label}"
    if said != label:  # the others outweighed it
        decided = (
            f"the {decider} branch weighed most ({weight:.2f}) and said {said}, "
            f"all together say {label}"
        )
    return f"{found}; {decided}."


def warnings_about(answer: Answer) -> list[str]:
    """Return sentences that should make a reader careful, none where there is nothing to say."""
    warnings = list(answer.notes)
    if answer.agreement is False:
        warnings.append("The text and the image contradict each other: look at the post yourself.")
    if answer.familiar is False:
        warnings.append(
            "This post is unlike what the model knows: its energy is above that of 95 % of the "
            "validation posts. Trust the probability less."
        )
    return warnings


def as_json(answer: Answer) -> dict[str, Any]:
    """Return an answer as the endpoint `/predict` gives it.

    Args:
        answer: The answer.

    Returns:
        The fields of `Answer`, `summary` and `warnings`; of a post that failed `error` alone.
    """
    fields = answer.to_dict()
    if answer.error is not None:
        return fields
    del fields["notes"]  # which are warnings
    return {**fields, "summary": summary_of(answer), "warnings": warnings_about(answer)}
