"""Which model is shown and what a visitor may ask of the server."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

MEGABYTE = 1_000_000
PREFIX = "HYBRIDSENT_"


@dataclass(frozen=True)
class Settings:
    """Settings of one server; each can be given as an environment variable HYBRIDSENT_NAME.

    Attributes:
        model: Folder or Hub id.
        revision: Commit, tag or branch of a Hub id; "" means main as it is at the start.
        graph: Folder of an OpenVINO export of this model, which then runs all passes but those that
            show attention; "" means that the model runs them.
        batch_size: Posts scored at once, also those of several visitors.
        max_waiting: Requests that may wait; more are refused.
        max_text_characters: Of one post.
        max_image_bytes: Of one image file.
        max_image_pixels: Of one image, whatever its file's size.
        max_table_bytes: Of one uploaded table or archive.
        max_unpacked_bytes: Of a table or archive once it is unpacked.
        max_listed_bytes: Of an archive's list of files, which has some hundred for each.
        max_text_table_bytes: Of a CSV or JSON Lines table once it is unpacked.
        max_line_bytes: Of one of its lines.
        max_table_rows: Posts in one table.
        max_image_ratio: Longer side of an image to its shorter one, where the model's image
            processor resizes by the shorter one.
        max_json_bytes: Of one request that is not an upload.
        max_tool_bytes: Of one call of the tool, whose image stands in the request.
        max_stored_bytes: Of all visitors' files together, in the temporary folder.
        max_shared_results: Results kept for links; the oldest goes first.
    """

    model: str = "outputs/quickstart"
    revision: str = ""
    graph: str = ""
    batch_size: int = 16
    max_waiting: int = 200
    max_text_characters: int = 5_000
    max_image_bytes: int = 20 * MEGABYTE
    max_image_pixels: int = 40_000_000
    max_table_bytes: int = 100 * MEGABYTE
    max_unpacked_bytes: int = 400 * MEGABYTE
    max_listed_bytes: int = 2 * MEGABYTE
    max_text_table_bytes: int = 50 * MEGABYTE
    max_line_bytes: int = 2 * MEGABYTE
    max_table_rows: int = 1_000
    max_image_ratio: int = 100
    max_json_bytes: int = 100_000
    max_tool_bytes: int = 2 * MEGABYTE
    max_stored_bytes: int = 2_000 * MEGABYTE
    max_shared_results: int = 200

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings.

        Args:
            environment: Variables by name.

        Returns:
            The settings; what is not given keeps its default.

        Raises:
            ValueError: A limit is not a positive whole number; the message names the variable.
        """
        given = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            if value := environment.get(name):
                given[field.name] = _number(name, value) if field.type is int else value
        return cls(**given)


def _number(name: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"{name}={value!r}: give a positive whole number.")
    return int(value)
