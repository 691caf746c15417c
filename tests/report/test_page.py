"""The page as a whole: written, whole, harmless, and within its limit."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from report_runs import HOSTILE, PLAIN, make_run
from scapnet.report import write as writer
from scapnet.report import write_report
from scapnet.report.curves import TERMS
from scapnet.report.page import LIMIT


class Tags(HTMLParser):
    """Every tag with its attributes, and the text of the JSON."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


def data_of(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(run, tmp_path_factory.mktemp("page") / "a page").read_text(encoding="utf-8")


def test_hostile_names_are_text(page: str) -> None:
    tags = Tags(page)
    assert [one.get("id") for one in tags.of("script")] == ["data", None]
    assert all(one["src"] is None or str(one["src"]).startswith("data:image/") for one in tags.of("img"))
    assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]
    assert "\u202e" not in page
    assert "49" not in {name for name in data_of(page)["classes"]}
    names = {name.replace("\u202e", "\\u202e") for name in HOSTILE}
    assert set(data_of(page)["classes"]) == names


def test_nothing_is_loaded(page: str) -> None:
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "url(" not in page
    (policy,) = [one["content"] for one in Tags(page).of("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")


def test_what_the_script_gets_fits_together(page: str) -> None:
    data = data_of(page)
    assert len(data["photos"]) == 18
    for photo in data["photos"]:
        assert len(photo["parts"]) == 6
        assert len(photo["gate"]) == 4
        assert all(0 <= level <= 1 for row in photo["cam"] for level in row)
        for part in photo["parts"]:
            assert 0 <= part["vote"] < len(HOSTILE)
            assert sum(part["takes"]) == pytest.approx(1, abs=0.01)
        k, p = photo["best"][0]
        shares = photo["whole"] + sum(part["share"] for part in photo["parts"])
        if photo["versus"] == photo["best"][1][0]:
            assert shares == pytest.approx(p - photo["best"][1][1], abs=0.002)
        assert k != photo["versus"]


def test_photos_are_left_out_to_keep_the_limit(
    run: Path, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = len(page.encode()) - 8_000
    monkeypatch.setattr(writer, "LIMIT", limit)
    said: list[str] = []
    found = write_report(run, tmp_path / "small.html", say=said.append)
    assert found.stat().st_size <= limit < LIMIT
    count = len(data_of(found.read_text(encoding="utf-8"))["photos"])
    assert 0 < count < 18
    assert any(f"shows {count} of 18 photos" in line for line in said)


def test_classes_are_left_out_where_no_photo_is_left(
    run: Path, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = re.compile(r'<th scope="row" data-value')
    assert len(row.findall(page)) == 6
    monkeypatch.setattr(writer, "MOST_CLASSES", 6)
    monkeypatch.setattr(writer, "LIMIT", 1)  # nothing fits: as little as there can be
    found = write_report(run, tmp_path / "tiny.html").read_text(encoding="utf-8")
    assert data_of(found) == {"classes": [], "photos": []}
    assert len(row.findall(found)) == 1
    assert "The 1 classes with the lowest accuracy, of 6, as many as fit the page" in found


def test_a_network_without_parts_and_a_run_without_test_photos(tmp_path: Path) -> None:
    run = make_run(tmp_path, PLAIN, ("rook", "jay"), test=False)
    (run / "log.jsonl").unlink()
    text = write_report(run).read_text(encoding="utf-8")
    data = data_of(text)
    assert [photo["parts"] for photo in data["photos"]] == [[]] * 6
    assert data["photos"][0]["gate"] is None
    assert "validation photos" in text
    assert "no log" in text
    assert (run / "report.html").is_file()


def test_a_bad_place_is_refused_first(refuse: Any, run: Path) -> None:
    assert "must end in .html or .htm" in refuse("report", run, "--out", "report.pdf")
    assert "is not a run folder" in refuse("report", run / "model")


def test_every_loss_has_a_colour_in_light_and_in_dark() -> None:
    style = (Path(writer.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    for i in range(len(TERMS)):
        assert len(re.findall(rf"--c{i}: #", style)) == 2
        assert all(f".{kind}{i} {{" in style for kind in "sfb")
