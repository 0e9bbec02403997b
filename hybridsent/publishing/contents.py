"""Check that files are what their endings say, and hold neither secrets nor paths of this machine."""

import json
import re
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors import SafetensorError, safe_open

SECRET = re.compile(
    r"\b(?:hf|api_org)_(?:oauth_|jwt_)?[A-Za-z0-9]{16,}"
    r"|\b(?:gh[opusr]|github_pat|glpat|xox[abeprs]|sk|pk|rk|npm|pypi|dckr_pat|gsk|r8|nvapi|dop_v1)[-_][\w-]{20,}"
    r"|\bya29\.[\w-]{20,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|(?i:bearer|basic) (?=[\w.-]*\d)[\w.-]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{35}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+"
    r"|-----BEGIN [A-Z0-9 ]*PRIVATE KEY|\b[a-z][a-z0-9+]*://[^\s/:@\"']+:[^\s/:@\"']+@"
    r"|(?i:passw(?:or)?d|secret(?:_?(?:access_?)?key)?|(?:api|account)[-_]?key|(?:hf|hub|auth|api|access|wandb)[-_]?token)"
    r"[\"']?\s*[:=]\s*[\"']?(?=[^\s\"'(),;.<>]*\d)[^\s\"'(),;.<>]{8,}"
)
MACHINE_PATH = re.compile(
    r"(?:(?<![\w/.~}])|(?<=file://))/(?i:home|users?|root|mnt|data|datasets|media|scratch|work|tmp"
    r"|workspaces?|var|opt|srv|content|kaggle|gpfs|lustre|nfs|private|volumes|storage|shared|projects?"
    r"|export|fsx|dbfs|ssd|disks?|afs|vol|nas|pfs|cluster|net|ceph(?:fs)?|beegfs|wekafs|raid|nvme"
    r"|local|dev|run|proc|etc|usr|github|app|code|hpc|host|pscratch|global|rds|nobackup|bigdata)\d*/[\w.~-][^\s\"'`)>,]*"
    r"|(?<![\w?])[A-Za-z]:(?:/(?!/)|\\{1,2})\w[^\s\"'`)>,]*"
)
# A figure needs no other parts; text in these is scanned, and the rest may hide anything.
_PNG_PARTS = {"IHDR", "PLTE", "IDAT", "IEND", "tEXt", "tRNS", "pHYs", "gAMA", "sRGB", "cHRM"}
_PNG_PARTS |= {"sBIT", "bKGD", "tIME"}
_SHOWN = 60


def _json_text(file: Path) -> str:
    """Return names and strings of a JSON object in lines, escapes decoded, doubled names kept."""
    return _strings(file.read_text(encoding="utf-8"))


def _strings(text: str) -> str:
    def of_object(pairs: list[tuple[str, Any]]) -> list[Any]:
        return [f"{k}: {v}" if isinstance(v, str) else [k, v] for k, v in pairs]

    if not text.lstrip().startswith("{"):
        raise ValueError("it does not start with {")
    left, found = [json.loads(text, object_pairs_hook=of_object)], []
    while left:
        node = left.pop()
        if isinstance(node, str):
            found.append(node)
        elif isinstance(node, list):
            left.extend(node)
    return "\n".join(found)


def _vocabulary_text(file: Path) -> str:
    text = _json_text(file)
    tokens = json.loads(file.read_text(encoding="utf-8"))
    if strange := [token for token, number in tokens.items() if type(number) is not int]:
        raise ValueError(f"{strange[0]!r:.{_SHOWN}} has no number")
    return text


def _header_text(file: Path) -> str:
    """Return the strings in the header of a safetensors file, whose size must fit its tensors."""
    with safe_open(file, "pt"):
        pass
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        return _strings(stream.read(length).decode())


def _png_text(file: Path) -> str:
    """Return the text in a PNG file without unusual parts and without anything behind its end."""
    with Image.open(file, formats=["PNG"]) as image:
        image.verify()
    content, at, texts = file.read_bytes(), 8, []
    while at < len(content):
        (length,), kind = struct.unpack(">I", content[at : at + 4]), content[at + 4 : at + 8]
        if kind.decode("latin-1") not in _PNG_PARTS:
            raise ValueError(f"it has a part {kind!r}, which a figure does not need")
        texts += [content[at + 8 : at + 8 + length].decode("latin-1")] * (kind == b"tEXt")
        at += 12 + length
        if kind == b"IEND" and at != len(content):
            raise ValueError(f"{len(content) - at} bytes follow its end")
    return "\n".join(texts)


def _text(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    if strange := re.search(r"[\0-\x08\x0e-\x1f]", text):
        raise ValueError(f"it has a control character at {strange.start()}")
    return text


def _tokens_text(file: Path) -> str:
    """Return a list of one token a line, or of two for merges.txt."""
    parts = 2 if file.name == "merges.txt" else 1
    text = file.read_text(encoding="utf-8")
    for number, line in enumerate(text.split("\n"), start=1):
        if (
            line.strip()
            and not line.startswith("#version")
            and len(line.strip().split(" ")) != parts
        ):
            raise ValueError(f"line {number} has not {parts} token(s)")
    return text


def _sentencepiece_text(file: Path) -> str:
    """Return the bytes of a sentencepiece model, a protobuf that starts with its first piece."""
    content = file.read_bytes()
    if not (content[:1] == content[2:3] == b"\n" and content[1] == content[3] + 7):
        raise ValueError("its first piece is damaged")
    return content.decode("latin-1")


_KINDS: dict[str, tuple[str, Callable[[Path], str]]] = {
    ".json": ("JSON", _json_text),
    ".ipynb": ("a notebook in JSON", _json_text),
    ".safetensors": ("safetensors", _header_text),
    ".png": ("a PNG figure", _png_text),
    ".md": ("text in UTF-8", _text),
    ".yaml": ("text in UTF-8", _text),
    ".model": ("a sentencepiece model", _sentencepiece_text),
    ".spm": ("a sentencepiece model", _sentencepiece_text),
    "requirements.txt": ("text in UTF-8", _text),
    "vocab.txt": ("a vocabulary", _tokens_text),
    "merges.txt": ("a list of merges", _tokens_text),
    "vocab.json": ("a vocabulary", _vocabulary_text),
    "added_tokens.json": ("a vocabulary", _vocabulary_text),
}


def content_problems(file: Path, name: str, source: Path) -> Iterator[str]:
    """Yield what forbids to publish a file: another content than its ending says, secrets, paths.

    Args:
        file: The file.
        name: Name to publish it under.
        source: The model's folder, whose path may not occur.
    """
    kind, read = _KINDS.get(file.name) or _KINDS[file.suffix]
    try:
        text = read(file)
    except (
        ValueError,
        OSError,
        SyntaxError,
        IndexError,
        RecursionError,
        Image.DecompressionBombError,
        struct.error,
        SafetensorError,
    ) as error:
        yield f"{name} is not {kind}: {error!s:.200}"
        with file.open("rb") as stream:
            text = stream.read(1 << 20).decode("latin-1")
    for found in sorted({match[0] for match in SECRET.finditer(text)}):
        yield f"{name} contains a secret: {found[:12]!r}... Revoke it if others have seen it"
    for path in _machine_paths(text, source, everywhere=file.suffix not in (".model", ".spm")):
        yield f"{name} contains a path of this machine: {path!r:.{_SHOWN}}"


def _machine_paths(text: str, source: Path, everywhere: bool) -> list[str]:
    """Return the paths in a text: those of known folders of this machine, or of any machine."""
    ours = {Path.home(), Path.cwd(), source.resolve(), source.resolve().parent, Path(sys.prefix)}
    known = [str(path) for path in ours if len(path.parts) > 1]
    found = {x for x in known if re.search(rf"(?<![\w/.]){re.escape(x)}(?![\w.-])", text)}
    if everywhere:
        found |= {match[0] for match in MACHINE_PATH.finditer(text)}
    return sorted(path for path in found if not any(path != x and path in x for x in found))
