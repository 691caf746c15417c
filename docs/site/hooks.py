"""What MkDocs calls while it builds the site.

The pages are plain Markdown that a repository's browser shows as well, so they link to files outside `docs`, such as
`../results/README.md`. Results and examples become pages of the site; links to other files lose their link.
"""

import json
import os
import posixpath
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
LINK = re.compile(r'(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^)\s#]+)(#[^)\s]*)?\)|(src=")([^"]+)(")')
HELP, OTHERS = "<!-- help of every command -->", "<!-- public names that no other page has -->"
COPIED = ("results/**/*.md", "results/**/*.png", "results/*.jsonl")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of `docs` that the navigation does not name to its section How-to."""
    named = set(re.findall(r"[\w./-]+\.md", repr(config.nav)))
    docs = Path(config.docs_dir)
    pages = sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))
    (how_to,) = [section["How-to"] for section in config.nav or [] if "How-to" in section]
    how_to[-1:-1] = [page for page in pages if page not in named]  # before the last one, Troubleshooting
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add results, examples and the help of the command line."""
    for pattern in COPIED:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for path in sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "examples").glob("*.ipynb")]):
        page = example_page(path) if path.suffix == ".py" else notebook_page(path)
        files.append(File.generated(config, f"examples/{path.stem}.md", content=page))
    return files


def example_page(path: Path) -> str:
    """A page with the code of an example."""
    title = path.stem.replace("_", " ").capitalize()
    return f"# {title}\n\n`examples/{path.name}`\n\n```python\n{path.read_text(encoding='utf-8')}```\n"


def notebook_page(path: Path) -> str:
    """A page with the text and the code of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    shown = [
        text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for cell, text in zip(cells, texts, strict=True)
    ]
    return "\n\n".join([shown[0], f"`examples/{path.name}`", *shown[1:]]) + "\n"


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    here = page.file.src_uri
    folder = posixpath.dirname(here if here.startswith(("results/", "examples/")) else f"docs/{here}")

    def replace(match: re.Match[str]) -> str:
        opening, target, anchor = match[1] or match[4], match[2] or match[5], match[3] or ""
        closing = ")" if match[1] else '"'
        if re.match(r"\w+:", target):
            return match[0]
        name = posixpath.normpath(posixpath.join(folder, target))
        uri = site_name_of(name)
        if files.get_file_from_path(uri) is None:
            return opening[1:-2] if match[1] and (ROOT / name).exists() else match[0]
        if match[1]:
            return f"{opening}{posixpath.relpath(uri, posixpath.dirname(here) or '.')}{anchor}{closing}"
        return f"{opening}{posixpath.relpath(uri, posixpath.dirname(page.file.dest_uri) or '.')}{closing}"

    markdown = LINK.sub(replace, markdown)
    return markdown.replace(HELP, help_texts() if HELP in markdown else "").replace(OTHERS, other_names())


def help_texts() -> str:
    """What ``--help`` says of every command."""
    env = {**os.environ, "COLUMNS": "76", "NO_COLOR": "1", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(Path(__file__).with_name("help.py"))]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def other_names() -> str:
    """The reference of public names that the pages of `docs/api` do not list yet."""
    sys.path.insert(0, str(ROOT / "src"))
    import scapnet

    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "api").glob("*.md"))
    listed = set(re.findall(r"\w+", " ".join(re.findall(r"members: \[([^\]]*)\]", pages))))
    modules = scapnet._MODULE_OF
    missing = [name for name in scapnet.__all__ if name not in listed]
    return "\n\n".join(f"::: scapnet.{modules[name]}.{name}" for name in missing)


def site_name_of(name: str) -> str:
    """Where a file of the repository is in the site's sources."""
    if name == "README.md":
        return "index.md"
    name = re.sub(r"^(examples/.+)\.(?:py|ipynb)$", r"\1.md", name)
    return name.removeprefix("docs/")
