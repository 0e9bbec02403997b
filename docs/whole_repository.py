"""Let the site have the folders of the repository, so that links between its files work in both.

A hook of mkdocs.yml. Pages are those of `docs/` and the README of each folder; a file of code that a
page links to is in the site as it is.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PATTERNS = (
    "*.md",
    "LICENSE",
    "docs/*.*",
    "space/README.md",
    "configs/**/*.yaml",
    "datasets_scripts/**/*.py",
    "hybridsent/**/*.py",
    "hybridsent/recipes/*.yaml",
    "modeling_hybridsent/*.py",
)
TEMPLATES = {"model_card.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of `docs_dir` by those of the repository, under their paths in it."""
    root = Path(config.config_file_path).parent
    for file in files.documentation_pages() + files.media_files():
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for path in sorted({path for pattern in PATTERNS for path in root.glob(pattern)}):
        name = path.relative_to(root).as_posix()
        if name not in TEMPLATES:
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files
