"""Names from outside are shown as text wherever they appear: terminal, Markdown, HTML and CSV."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file, save_file

from samples import Command, Refuse, photo
from scapnet.card import escaped
from scapnet.csvfile import FORMULA, harmless
from scapnet.terminal.console import printable

MARKUP, SCRIPT, FORMULA_NAME = "[red]\x1b]0;x\x07", "<script>x<img src=q onerror=y>", "=1+1|`x`[a](b)"


class Tags(HTMLParser):
    """The tags and the attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self.attributes = set[str](), set[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outside") / "[" / "b]"  # a closing tag
    for split, count in (("train", 4), ("val", 2)):
        for name, colour in ((MARKUP, "red"), (SCRIPT, "lime"), (FORMULA_NAME, "blue")):
            for i in range(count):
                photo(root / split / name / f"={name[:4]}{i}.png", colour, 40)
    return root


def formulas(text: str) -> list[str]:
    """The cells of a CSV that a spreadsheet would run."""
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row if cell.startswith(FORMULA)]


def test_hostile_names_go_through_every_output(root: Path, tmp_path: Path, command: Command) -> None:
    run = tmp_path / "run"
    data = {"name": "folder", "root": root, "size": 64, "resize": 72, "workers": 0, "val-fraction": 0}
    train = {"epochs": 1, "stage1-epochs": 0, "batch-size": 4}
    settings = {f"data.{key}": value for key, value in data.items()} | {"model.parts.size": 32, "model.weights": "none"}
    settings |= {f"train.{key}": value for key, value in train.items()}
    flags = [word for key, value in settings.items() for word in (f"--{key}", value)]
    commands: list[tuple[object, ...]] = [
        ("train", "demo", *flags, "--out", run),
        ("eval", run),
        ("predict", run, root / "val"),
        ("predict", run, root / "val", "--format", "csv", "--out", tmp_path / "answers.csv"),
        ("report", run),
    ]
    said = "".join(text for words in commands for text in command(*words))
    assert "\x1b]" not in said
    assert r"[red]\x1b]0;x\x07" in said

    for table in (*run.glob("*.csv"), tmp_path / "answers.csv"):
        text = table.read_text(encoding="utf-8")
        assert not formulas(text)
        assert "'=1+1" in text

    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert "\x1b" not in card
    assert not re.search(r"(?<!\\)<", card)
    assert r"\=" not in card  # escapes only what Markdown reads
    assert r"\[a\]\(b\)" in card

    page = (run / "report.html").read_text(encoding="utf-8")
    tags = Tags(page)
    assert "&lt;script&gt;x" in page
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert "\x1b" not in page
    assert len(re.findall("<script", page)) == len(re.findall(r"<script\b[^>]*>(?!x<img)", page))
    assert json.loads((run / "model" / "config.json").read_text())["classes"] == sorted([FORMULA_NAME, SCRIPT, MARKUP])


def test_names_of_tensors_and_of_tags_are_one_safe_line(
    model_folder: Path, tmp_path: Path, command: Command, refuse: Refuse
) -> None:
    tensors = load_file(model_folder / "model.safetensors")
    name = "classifier.weight"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_bytes((model_folder / "config.json").read_bytes())
    tensors["\x1b[2J[/b]\n" + name] = tensors.pop(name)
    save_file(tensors, tmp_path / "model" / "model.safetensors")
    said = refuse("predict", tmp_path / "model", photo(tmp_path / "a.png"))
    assert "\x1b" not in said
    assert said.count("\n") == 1

    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = MARKUP  # a description and an artist
    Image.new("RGB", (80, 80)).save(tmp_path / "tagged.jpg", exif=exif)
    assert "\x1b" not in "".join(command("predict", model_folder, tmp_path / "tagged.jpg"))


@given(st.text())
@settings(max_examples=50, deadline=None)
def test_any_text_is_safe(text: str) -> None:
    assert not harmless(text).startswith(FORMULA)
    line = printable(text)
    assert "\n" not in line
    assert "\x1b" not in line
    assert not re.search(r"(?<!\\)[<>\[\]|`]", re.sub(r"\\\\", "", escaped(text)))
    plain = io.StringIO()
    Console(file=plain, markup=False, emoji=False, highlight=False).print(line, soft_wrap=True)
    assert plain.getvalue().rstrip("\n") == line
