"""JSON files."""

from pathlib import Path

from scapnet.jsonfile import read_json, write_json


def test_a_name_that_is_not_utf8_comes_back(tmp_path: Path) -> None:
    for name in ("Häher", b"caf\xe9".decode(errors="surrogateescape")):
        write_json(tmp_path / "a.json", {name: [name]})
        assert read_json(tmp_path / "a.json") == {name: [name]}
    write_json(tmp_path / "a.json", {"name": "Häher"})
    assert "Häher" in (tmp_path / "a.json").read_text(encoding="utf-8")
