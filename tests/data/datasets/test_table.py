"""Photos by a table."""

import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from samples import COLOURS, photo, seen, write
from scapnet.data.datasets.table import load_csv
from scapnet.data.photos import PhotoList
from scapnet.data.sample import FineGrained, class_parents


def table(root: Path, lines: list[str], end: str = "\n", mark: bool = False) -> Path:
    for i, folder in enumerate(("a", "b c", "ä")):
        for number in (1, 2, 3):
            photo(root / folder / f"{number}.JPG", COLOURS[i])
    photo(root / "a" / "x, y.png", "red")
    return write(root / "labels.csv", lines, end, mark)


def names(data: FineGrained | None) -> list[str]:
    assert data is not None
    return [data.classes[label] for label in data.labels]


@pytest.mark.parametrize(("end", "mark"), [("\n", False), ("\r\n", True), ("\n\n", False), ("\r", False)])
def test_a_table_is_read_with_any_line_ends(tmp_path: Path, end: str, mark: bool) -> None:
    lines = [
        "Split,Path , label,note",
        'train,"a/x, y.png",Red,1',
        "train,b c/1.jpg,lime,",
        "Validation,ä/1.JPG, Red ,",
    ]
    table(tmp_path, [*lines, "test,ä/2.JPG,lime,"], end, mark)
    train, val, test, about, _, drawn, *_ = load_csv(tmp_path, None, 0.5, 0)
    assert (train.classes, about.name, drawn) == (("Red", "lime"), "csv", None)
    assert (names(train), names(val), names(test)) == (["Red", "lime"], ["Red"], ["lime"])
    assert [seen(train, 0), seen(train, 1)] == ["red", "lime"]
    assert Path(train[1].path).name == "1.JPG"


def test_a_table_without_split_has_a_share_held_out(tmp_path: Path) -> None:
    rows = [f"{folder}/{number}.JPG,{label}" for folder, label in (("a", 10), ("b c", 9)) for number in (1, 2, 3)]
    file = table(tmp_path / "photos", ["path,label", *rows]).rename(tmp_path / "my.csv")
    train, val, test, *_, drawn = load_csv(tmp_path / "photos", file, 0.34, 0)[:6]
    assert train.classes == ("9", "10")  # numbers in the order of numbers
    assert (Counter(names(train)), Counter(names(val)), test) == ({"9": 2, "10": 2}, {"9": 1, "10": 1}, None)
    assert drawn is not None
    assert sorted(drawn["train"] + drawn["val"]) == sorted(row.split(",")[0] for row in rows)
    assert load_csv(tmp_path / "photos", file, 0.34, 0).drawn == drawn


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            ["path,width,height", "a/1.JPG,8,8"],
            r"\.csv, line 1: it is not clear which of the columns 'path, width, height'",
        ),
        (["a/1.JPG,x"], r"line 1: it is not clear which of the columns 'a/1\.JPG, x'"),
        (["label,class"], r"line 1: it is not clear which of the columns 'label, class'"),
        (["path,label,Label"], r"line 1: the column label appears twice"),
        ([], r"line 1: it is not clear which of the columns ''"),
        (["path,label", "a/1.JPG,x", "", "a/2.JPG,"], r"labels\.csv, line 4: photo and label must both be given"),
        (["path,label", "a/1.JPG"], r"line 2: photo and label must both be given"),
        (["path,label", "a/1.JPG,x,y"], r"line 2: it has more fields than the header"),
        (["path,label,split", "a/1.JPG,x,3"], r"line 2: split '3' must be train, val or test"),
        (["path,label,split", "a/1.JPG,x,"], r"line 2: split '' must be train, val or test"),
        (["path,label", "a/1.JPG,x", "a/9.JPG,y"], r"line 3: there is no image .*9\.JPG"),
        (["path,label", "a/1.JPG,x", "a/1.JPG,y"], r"line 3: a/1\.JPG is already on line 2; keep one of them"),
        (
            ["path,label", "a/1.JPG,x", "b c/../a/./1.jpg,y"],
            r"line 3: .*/1\.jpg is already on line 2 as a/1\.JPG",
        ),
        (
            ["path,label,split", "a/1.JPG,x,train", "a/2.JPG,y,train", "a/1.JPG,x,test"],
            r"line 4: a/1\.JPG is already on line 2, in the train split",
        ),
        (["path,label,group", "a/1.JPG,x,g", "a/2.JPG,y,"], r"line 3: the photo has no group"),
        (["path,label", "a/1.JPG,x"], r"at least 2 labels are needed, .* have 1;"),
        (
            ["path,label,split", "a/1.JPG,x,train", "a/2.JPG,y,train", "a/3.JPG,z,test"],
            r"line 4: no training photo has the label 'z'",
        ),
        (["path,label", 'a/1.JPG,"x'], r"line 2: it is not CSV"),
    ],
)
def test_a_malformed_table_is_named_with_its_line(tmp_path: Path, lines: list[str], words: str) -> None:
    table(tmp_path, lines)
    with pytest.raises(ValueError, match=words) as error:
        load_csv(tmp_path, None, 0.5, 0)
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_text_or_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"path,label\na/\xff.jpg,x\n")
    with pytest.raises(ValueError, match=r"labels\.csv is not UTF-8 text \(line 2, byte 13\); save it as UTF-8"):
        load_csv(tmp_path, None, 0.5, 0)
    for encoding in ("utf-16", "utf-16-le"):
        (tmp_path / "labels.csv").write_text("path,label\n", encoding=encoding)
        with pytest.raises(ValueError, match=r"labels\.csv is UTF-16 text; save it as UTF-8"):
            load_csv(tmp_path, None, 0.5, 0)
    with pytest.raises(ValueError, match=r"there is no table .*other\.csv; give it with --data\.table"):
        load_csv(None, tmp_path / "other.csv", 0.5, 0)


def test_an_accent_and_a_suffix_may_differ_from_the_table(tmp_path: Path) -> None:
    stored = photo(tmp_path / unicodedata.normalize("NFD", "é.JPG"), "lime")
    photo(tmp_path / "b.png")
    write(tmp_path / "labels.csv", ["path,label", unicodedata.normalize("NFC", "é.jpg") + ",x", "b.png,y"])
    train = load_csv(tmp_path, None, None, 0).train
    assert train[0].path == str(stored)
    assert seen(train, 0) == "lime"


# --- columns ---


def rows(root: Path, header: str, separator: str = ",", suffix: str = ".png", folder: str = "") -> Path:
    """Four photos of two classes under a header."""
    for i in range(4):
        photo(root / folder / f"{i}.png", COLOURS[i % 2])
    names = [f"{i}{suffix}{separator}{COLOURS[i % 2]}" for i in range(4)]
    return write(root / "labels.csv", [header, *(name + separator * (header.count(separator) - 1) for name in names)])


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("image,label", "image (photo), label (label)"),
        ("filename,class", "filename (photo), class (label)"),
        ("id,breed", "id (photo), breed (label)"),
        ("id_code,diagnosis", "id_code (photo), diagnosis (label)"),
        ("file,category", "file (photo), category (label)"),
        ("Image Name,Species", "Image Name (photo), Species (label)"),
        ("path,what it is", "path (photo), what it is (label)"),
        ("image;label", "image (photo), label (label)"),
        ("image\tlabel\twidth\theight", "image (photo), label (label)"),
    ],
)
def test_columns_are_found_by_their_usual_names(tmp_path: Path, header: str, columns: str) -> None:
    separator = next(sep for sep in ";\t," if sep in header)
    found = load_csv(tmp_path, rows(tmp_path, header, separator), None, 0)
    assert found.train.classes == ("lime", "red")
    assert found.notes == (f"columns: {columns}",)


def test_a_header_may_come_after_empty_lines_and_excel_s_separator(tmp_path: Path) -> None:
    table = rows(tmp_path, "path;label", ";")
    text = table.read_text()
    table.write_text("sep=;\n\n" + text)
    assert len(load_csv(None, table, None, 0).train) == 4
    table.write_text("sep=;\n\n" + text + "7.png;red\n")
    with pytest.raises(ValueError, match=r"labels\.csv, line 8: there is no image"):
        load_csv(None, table, None, 0)


@pytest.mark.parametrize("header", ["id,path,class_id,class_name,split", "label,image,id,split", ",path,label,split"])
def test_of_several_columns_the_most_specific_is_taken(tmp_path: Path, header: str) -> None:
    for i in range(2):
        photo(tmp_path / f"{i}.png", COLOURS[i])
    values = {"path": "{i}.png", "image": "{i}.png", "label": "{name}", "class_name": "{name}", "split": "train"}
    lines = [",".join(values.get(column, "7{i}") for column in header.split(",")) for _ in range(2)]
    lines = [line.format(i=i, name=COLOURS[i]) for i, line in enumerate(lines)]
    assert load_csv(None, write(tmp_path / "labels.csv", [header, *lines]), None, 0).train.classes == ("lime", "red")


@pytest.mark.parametrize("name", ["dev", "VALID", "Validation", "val_set"])
def test_splits_are_recognised_in_every_usual_spelling(tmp_path: Path, name: str) -> None:
    for i in range(3):
        photo(tmp_path / f"{i}.png")
    lines = ["image,label,subset", "0.png,a,Training", "1.png,b,train", f"2.png,a,{name}"]
    train, val, test, *_ = load_csv(tmp_path, write(tmp_path / "labels.csv", lines), None, 0)
    assert val is not None
    assert (len(train), len(val), test) == (2, 1, None)


# --- names of photos ---


def test_ids_without_a_suffix_are_found(tmp_path: Path) -> None:
    train = load_csv(None, rows(tmp_path, "id,breed", suffix=""), None, 0).train
    assert [Path(train[i].path).name for i in range(4)] == ["0.png", "1.png", "2.png", "3.png"]


def test_an_id_that_two_photos_have_is_refused(tmp_path: Path) -> None:
    table = rows(tmp_path, "id,breed", suffix="")
    (tmp_path / "2.txt").touch()
    load_csv(None, table, None, 0)
    photo(tmp_path / "2.jpg")
    with pytest.raises(ValueError, match=r"line 4: '2' may mean .*2\.jpg or .*2\.png; add the suffix"):
        load_csv(None, table, None, 0)


@pytest.mark.parametrize("suffix", [".png", ""])
def test_photos_in_a_subfolder_are_pointed_out(tmp_path: Path, suffix: str) -> None:
    table = rows(tmp_path, "id,breed", suffix=suffix, folder="train_images")
    with pytest.raises(ValueError, match=r"line 2: there is no image .*; it is in (.*_images): use --data\.root \1"):
        load_csv(None, table, None, 0)
    assert len(load_csv(tmp_path / "train_images", table, None, 0).train) == 4


def test_paths_may_have_backslashes_or_be_absolute_or_differ_in_case(tmp_path: Path) -> None:
    for name in ("Birds/Robin/1.png", "Birds/Robin/2.png", "b.png"):
        photo(tmp_path / name)
    photo(tmp_path / "c.png")
    lines = ["path,label", r"Birds\Robin\1.png,a", f"{tmp_path / 'b.png'},b", "birds/ROBIN/2.PNG,a", "/c.png,b"]
    train = load_csv(None, write(tmp_path / "labels.csv", lines), None, 0).train
    assert [Path(train[i].path).relative_to(tmp_path).as_posix() for i in range(4)] == [
        "Birds/Robin/1.png",
        "b.png",
        "Birds/Robin/2.png",
        "c.png",
    ]


def test_a_file_and_a_link_to_it_are_one_photo(tmp_path: Path) -> None:
    rows(tmp_path, "path,label")
    (tmp_path / "link.png").symlink_to(tmp_path / "1.png")
    (tmp_path / "same").symlink_to(tmp_path, target_is_directory=True)
    for name in ("link.png", "same/1.png"):
        table = write(tmp_path / "labels.csv", ["path,label", "0.png,a", "1.png,b", f"{name},a"])
        with pytest.raises(ValueError, match=rf"line 4: {name} is already on line 3 as 1\.png"):
            load_csv(None, table, None, 0)


def test_photos_that_the_table_does_not_name_are_reported(tmp_path: Path) -> None:
    table = rows(tmp_path, "path,label")
    for name in ("9.png", "notes.txt", ".hidden.png"):
        photo(tmp_path / "new.png").rename(tmp_path / name)
    skipped = load_csv(None, table, None, 0).skipped
    assert [(path.name, why) for path, why in skipped] == [("9.png", "photos that the table does not name")]


def test_the_only_table_in_a_folder_is_used(tmp_path: Path) -> None:
    rows(tmp_path, "path,label").rename(tmp_path / "train.csv")
    assert load_csv(tmp_path, None, None, 0).sources == {"train": str(tmp_path / "train.csv")}
    (tmp_path / "test.csv").touch()
    with pytest.raises(ValueError, match=r"there is no table .*labels\.csv; give it with --data\.table FILE; .* has"):
        load_csv(tmp_path, None, None, 0)


def test_labels_whose_accents_differ_in_form_are_one_class(tmp_path: Path) -> None:
    for i in range(3):
        photo(tmp_path / f"{i}.png")
    lines = ["path,label", "0.png,\u00e9", "1.png,e\u0301", "2.png,b"]
    assert load_csv(tmp_path, write(tmp_path / "labels.csv", lines), None, 0).train.classes == ("b", "\u00e9")


# --- groups ---


def test_photos_of_one_group_are_held_out_together(tmp_path: Path) -> None:
    lines = ["path,label,group"]
    for i in range(24):
        photo(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{'ab'[i % 2]},nest {i // 3}")
    train, val, _, _, _, drawn, *_ = load_csv(tmp_path, write(tmp_path / "labels.csv", lines), 0.25, 0)
    assert isinstance(train, PhotoList)
    assert isinstance(val, PhotoList)
    assert not set(train.groups or ()) & set(val.groups or ())
    assert 4 <= len(val) <= 8
    assert drawn is not None
    assert drawn["groups"] == 8


def test_groups_that_the_table_has_split_are_reported(tmp_path: Path) -> None:
    for i in range(4):
        photo(tmp_path / f"{i}.png")
    lines = ["path,label,split,group", "0.png,a,train,x", "1.png,b,train,y", "2.png,a,test,x", "3.png,b,test,z"]
    found = load_csv(tmp_path, write(tmp_path / "labels.csv", lines), None, 0)
    assert found.notes[1:] == ("groups that are in more than one split: 1 (x)",)


def test_a_class_has_the_parent_of_its_lines(tmp_path: Path) -> None:
    lines = ["path,label,parent", "a/1.JPG,red,warm", "a/2.JPG,red,", "b c/1.JPG,lime,", "ä/1.JPG,blue,cold"]
    found = load_csv(table(tmp_path, lines).parent, None, None, 0)
    assert dict(zip(found.train.classes, class_parents(found.train), strict=True)) == {
        "red": "warm",
        "lime": "",
        "blue": "cold",
    }
    assert found.notes[0] == "columns: path (photo), label (label), parent (parent)"
    table(tmp_path, [*lines, "ä/2.JPG,blue,warm"])
    with pytest.raises(ValueError, match="line 6: the parent of blue is 'warm' here and 'cold' on line 5"):
        load_csv(tmp_path, None, None, 0)
    table(tmp_path, ["path,label,parent", "a/1.JPG,red,", "b c/1.JPG,lime,"])
    assert class_parents(load_csv(tmp_path, None, None, 0).train) == ()
