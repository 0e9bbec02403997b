"""Publish a trained model: weights, code, processor, card and results, in one commit.

hybridsent publish --model outputs/quickstart --repo_id USER/NAME --dry_run
hybridsent publish --model outputs/quickstart --repo_id USER/NAME --private
"""

from __future__ import annotations

from collections.abc import Sequence

from hybridsent.support.command_line import command_parser


def run(words: Sequence[str]) -> None:
    """Publish the model, or try out all but the sending."""
    parser = command_parser("publish", __doc__)
    parser.add_argument(
        "--model", required=True, help="folder that a training wrote, or bundled/..."
    )
    parser.add_argument("--repo_id", required=True, metavar="USER/NAME", help="where it goes")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--revision", help="branch to commit to; made if it is absent")
    parser.add_argument(
        "--dry_run", action="store_true", help="list the files and load them by themselves only"
    )
    given = parser.parse_args(words)

    from hybridsent.bundled.models import resolve_model
    from hybridsent.publishing.publish import Target, publish, try_out

    model = resolve_model(given.model)
    if given.dry_run:
        try_out(model, given.repo_id)
    else:
        target = Target(given.repo_id, given.private or None, given.revision)
        print(f"Published: {publish(model, target)}")
