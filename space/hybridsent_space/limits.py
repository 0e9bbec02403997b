"""The limits on what visitors send, and the message that each gives."""

from hybridsent_space.settings import Settings

NOT_SHOWN = "..."
FULL_DISK = "The server's disk is full; come back."
# Those of images come from the model's own code, that of waiting from Gradio.
MESSAGES = {
    "max_text_characters": "The text has {found} characters; {limit} are allowed.",
    "max_image_bytes": "The image has {found} bytes; {limit} are allowed.",
    "max_image_pixels": "The image: has {found} pixels, more than max_image_pixels={digits}. "
    "Replace it or leave it out.",
    "max_image_ratio": "The image: has {found} pixels; as images are resized by their shorter side, "
    "the longer one may be max_image_ratio={digits} times as long. Replace it or leave it out.",
    "max_table_bytes": "The file has more than {limit} bytes. Split it.",
    "max_unpacked_bytes": "Unpacked, the file has more than {limit} bytes. Split it.",
    "max_listed_bytes": "The archive's list of files has more than {limit} bytes. Split it.",
    "max_text_table_bytes": "The table has {found} bytes; {limit} are allowed in CSV and JSON Lines. "
    "Split it, or save it as Parquet.",
    "max_line_bytes": "Line {found} of the table has more than {limit} bytes. Shorten it.",
    "max_table_rows": "The table has more than {limit} rows. Split it.",
    "max_json_bytes": "The request has more than {limit} bytes.",
    "max_tool_bytes": "The call has more than {limit} bytes. Send a smaller image, or upload it and "
    "call /predict.",
    "max_stored_bytes": "The server holds as many files as it can; come back.",
    "max_waiting": "Queue is full. Max size is {digits}",
    "max_shared_results": "This link's result is gone: the server keeps only the newest.",
}


def message_of(name: str, limit: int, found: int | str = NOT_SHOWN) -> str:
    """Return the message of a limit.

    Args:
        name: Of the setting.
        limit: Its value.
        found: What exceeds it.
    """
    shown = found if isinstance(found, str) else f"{found:,}"
    return MESSAGES[name].format(limit=f"{limit:,}", digits=limit, found=shown)


def limits_markdown(settings: Settings) -> str:
    """Return the limits of a server, each with its message, as a table."""
    limits = {name: getattr(settings, name) for name in MESSAGES}
    rows = [f"| `{x}` | {limit:,} | {message_of(x, limit)} |" for x, limit in limits.items()]
    return "\n".join(["| limit | value | message |", "|---|---:|---|", *rows])
