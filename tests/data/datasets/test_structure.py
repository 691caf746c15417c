"""Split folders and class folders under every name and in every shape."""

from pathlib import Path

import pytest

from samples import photo
from scapnet.data.datasets.structure import Structure, labelled_structure, read_structure, table_hint
from scapnet.data.files import DEAD, Listing, describe_skipped
from scapnet.terminal.hints import command


def fill(root: Path, *folders: str) -> Path:
    for folder in folders:
        photo(root / folder / "1.png")
    return root


def read(root: Path, listing: Listing | None = None) -> dict[str, list[str]]:
    """The classes of each split."""
    return classes(read_structure(root, listing or Listing()))


def classes(found: Structure) -> dict[str, list[str]]:
    return {split: list(folders) for split, folders in found.splits.items()}


def refused(root: Path) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011 the tests look at the sentence
        read_structure(root, Listing())
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Val", "Test"),
        ("TRAIN", "VALID", "TEST"),
        ("training", "validation", "testing"),
        ("Training Set", "valset", "Test set"),
        ("train_images", "dev", "eval"),
        ("images-train", "images-val", "images-test"),
        ("1_train", "2_val", "3_test"),
        ("trainval", "Dev_data", "evaluation"),
    ],
)
def test_split_folders_are_recognised_in_every_usual_spelling(tmp_path: Path, train: str, val: str, test: str) -> None:
    fill(tmp_path, *(f"{split}/{name}" for split in (train, val, test) for name in ("robin", "wren")))
    assert read(tmp_path) == {"train": ["robin", "wren"], "val": ["robin", "wren"], "test": ["robin", "wren"]}
    homes = read_structure(tmp_path, Listing()).homes
    assert [homes[split].name for split in ("train", "val", "test")] == [train, val, test]


def test_class_folders_need_no_split(tmp_path: Path) -> None:
    assert read(fill(tmp_path, "robin", "wren")) == {"train": ["robin", "wren"]}


@pytest.mark.parametrize("pair", [("train", "Train"), ("val", "validation"), ("test", "eval"), ("train_1", "train_2")])
def test_two_spellings_of_one_split_are_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    names = pair if pair[0].startswith("train") else ("train", *pair)
    fill(tmp_path, *(f"{name}/{folder}" for name in names for folder in ("a", "b")))
    if len(list(tmp_path.iterdir())) < len(names):
        pytest.skip("this file system takes both for one name")
    sentence = refused(tmp_path)
    assert all(str(tmp_path / name) in sentence for name in pair)


@pytest.mark.parametrize("wrap", ["data", "a/b", "images", "train/images", "dataset/train/images"])
def test_a_folder_around_everything_is_opened(tmp_path: Path, wrap: str) -> None:
    fill(tmp_path, f"{wrap}/robin", f"{wrap}/wren")
    assert read(tmp_path) == {"train": ["robin", "wren"]}


def test_wrapped_splits_are_found(tmp_path: Path) -> None:
    fill(tmp_path, *(f"birds/{split}/{name}" for split in ("Train", "Test") for name in ("robin", "wren")))
    photo(tmp_path / "__MACOSX" / "birds" / "Train" / "._1.png")
    assert read(tmp_path) == {"train": ["robin", "wren"], "test": ["robin", "wren"]}


# --- classes that are named like splits ---


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    found = read_structure(fill(tmp_path, "bus", "car", "train"), Listing())
    assert classes(found) == {"train": ["bus", "car", "train"]}
    assert found.notes == (
        f"{tmp_path / 'train'} is read as a class and not as a split, because its photos are not in class folders",
    )


@pytest.mark.parametrize("names", [("control", "test"), ("invalid", "valid"), ("dev", "prod")])
def test_one_of_two_classes_may_be_named_like_a_split(tmp_path: Path, names: tuple[str, str]) -> None:
    assert read(fill(tmp_path, *names)) == {"train": sorted(names)}


def test_a_class_called_train_may_be_inside_split_folders(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{split}/{name}" for split in ("train", "test") for name in ("bus", "car", "train")))
    assert read(tmp_path) == {"train": ["bus", "car", "train"], "test": ["bus", "car", "train"]}


def test_a_flat_test_folder_beside_classes_is_refused(tmp_path: Path) -> None:
    sentence = refused(fill(tmp_path, "robin", "wren", "test"))
    assert sentence.startswith(f"{tmp_path / 'test'} is named like a split, but its photos are not in class folders")


def test_a_flat_test_folder_beside_a_train_folder_is_reported_as_not_used(tmp_path: Path) -> None:
    listing = Listing()
    assert read(fill(tmp_path, "train/robin", "train/wren", "test"), listing) == {"train": ["robin", "wren"]}
    assert describe_skipped(listing.skipped) == [
        f"photos in {tmp_path / 'test'}, which has no class folders: 1 ({tmp_path / 'test' / '1.png'})"
    ]


@pytest.mark.parametrize("names", [("train",), ("train", "test"), ("Train", "Val", "Test")])
def test_flat_splits_are_never_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    fill(tmp_path, *names)
    (tmp_path / "labels.csv").write_text("id,breed\n")
    sentence = refused(tmp_path)
    assert all(str(tmp_path / name) in sentence for name in names)
    assert "are not in class folders" in sentence
    assert "--data.name csv" in sentence


def test_the_hint_at_a_table_fits_the_command(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.touch()
    for arguments, words in (
        (["train"], f"--data.name csv --data.root {tmp_path} --data.table {table}"),
        (["resume", "run"], f"scapnet train PRESET --data.name csv --data.root {tmp_path} --data.table {table}"),
        (["data", "show"], f"--name csv --root {tmp_path} --table {table}"),
        (["data", "check", "folder"], f"csv --root {tmp_path} --table {table}"),
    ):
        with command(arguments):
            assert table_hint(tmp_path) == f"; or read the table labels.csv with {words}"


def test_a_train_folder_that_may_be_a_class_is_refused(tmp_path: Path) -> None:
    sentence = refused(fill(tmp_path, "bus", "car", "train/steam", "train/diesel"))
    assert "may be the training split, as it has folders in it, or a class beside bus, car" in sentence


def test_another_folder_beside_the_splits_is_reported_as_not_used(tmp_path: Path) -> None:
    for others in (("extra",), ("extra", "more", "test/robin")):
        listing, root = Listing(), tmp_path / str(len(others))
        fill(root, "train/robin", "train/wren", *others)
        assert list(read(root, listing)["train"]) == ["robin", "wren"]
        assert [path.parent.name for path, _ in listing.skipped] == [name for name in others if "/" not in name]


# --- splits without a train folder ---


def test_a_test_folder_beside_class_folders_is_the_test_split(tmp_path: Path) -> None:
    found = read_structure(fill(tmp_path, "robin", "wren", "test/robin"), Listing())
    assert classes(found) == {"train": ["robin", "wren"], "test": ["robin"]}
    assert found.homes == {"train": tmp_path, "test": tmp_path / "test"}


def test_splits_without_training_photos_are_refused(tmp_path: Path) -> None:
    sentence = refused(fill(tmp_path, "val/robin", "test/robin"))
    assert "has no training photos; put them in" in sentence
    assert str(tmp_path / "val") in sentence


def test_splits_inside_the_classes_are_refused(tmp_path: Path) -> None:
    sentence = refused(
        fill(tmp_path, *(f"{name}/{split}" for name in ("robin", "wren") for split in ("train", "test")))
    )
    assert f"{tmp_path / 'robin'} is a class with the splits" in sentence
    assert str(tmp_path / "train" / "robin" / "PHOTO.jpg") in sentence


def test_a_folder_of_splits_beside_another_folder_is_pointed_out(tmp_path: Path) -> None:
    fill(tmp_path, *(f"birds/{split}/{name}" for split in ("train", "val") for name in ("robin", "wren")), "new")
    assert f"{tmp_path / 'birds'} holds the splits train and val; give it with --data.root" in refused(tmp_path)


def test_classes_whose_photos_are_in_subfolders_are_reported(tmp_path: Path) -> None:
    fill(tmp_path, "camera 1/robin", "camera 1/wren", "camera 2/wren")
    found = read_structure(tmp_path, Listing())
    assert classes(found) == {"train": ["camera 1", "camera 2"]}
    first = tmp_path / "camera 1" / "robin"
    assert found.notes == (f"classes whose photos are in subfolders: 2 ({first})",)
    fill(tmp_path, "camera 2/robin")
    words = "all classes contain the folders robin, wren; if those are the classes, give their folder instead"
    assert read_structure(tmp_path, Listing()).notes == (words,)


# --- what lies beside them ---


def test_files_beside_the_folders_are_reported(tmp_path: Path) -> None:
    fill(tmp_path / "set", "train/robin", "train/wren")
    (tmp_path / "readme.md").touch()
    (tmp_path / "set" / "labels.csv").touch()
    photo(tmp_path / "set" / "train" / "stray.png")
    photo(tmp_path / "set" / "train" / ".ipynb_checkpoints" / "1.png")
    (tmp_path / ".DS_Store").touch()
    listing = Listing()
    read(tmp_path, listing)
    kinds = {path.name: why for path, why in listing.skipped}
    assert kinds == {
        "readme.md": ".md files",
        "labels.csv": ".csv files",
        "stray.png": "photos outside class folders",
        "1.png": "photos in hidden, system, thumbnail or run folders",
    }


def test_folders_of_other_files_are_not_classes(tmp_path: Path) -> None:
    fill(tmp_path, "robin", "wren")
    for name in ("annotations/robin/1.xml", "code/main.py", "runs/a/log.jsonl", "runs/a/config.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    photo(tmp_path / "runs" / "a" / "parts.png")
    listing = Listing()
    assert read(tmp_path, listing) == {"train": ["robin", "wren"]}
    assert {path.name for path, _ in listing.skipped} == {"1.xml", "main.py", "parts.png"}


@pytest.mark.parametrize("name", [None, "1.HEIC", "1.CR2"])
def test_folders_of_photos_that_cannot_be_read_are_classes(tmp_path: Path, name: str | None) -> None:
    fill(tmp_path, "robin", "wren")
    (tmp_path / "owl").mkdir()
    if name is not None:
        (tmp_path / "owl" / name).touch()
    assert read(tmp_path) == {"train": ["owl", "robin", "wren"]}


def test_links_that_lead_nowhere_do_not_matter(tmp_path: Path) -> None:
    fill(tmp_path, "robin", "wren")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "robin" / "loop.png").symlink_to(tmp_path / "robin" / "loop.png")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere", target_is_directory=True)
    listing = Listing()
    assert read(tmp_path, listing) == {"train": ["robin", "wren"]}
    assert [(path.name, why) for path, why in listing.skipped] == [("gone", DEAD), ("loop", DEAD)]


def test_accents_in_two_forms_are_one_class(tmp_path: Path) -> None:
    fill(tmp_path, "train/e\u0301", "train/\u00e9", "train/b", "val/\u00e9")
    found = read_structure(tmp_path, Listing())
    assert classes(found) == {"train": ["b", "\u00e9"], "val": ["\u00e9"]}
    assert len(found.splits["train"]["\u00e9"]) == 2


# --- photos for a model that is trained ---


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("robin", "wren"), {"": ["robin", "wren"]}),
        (("test/robin",), {"test": ["robin"]}),
        (("Test/robin", "Valid/wren"), {"test": ["robin"], "val": ["wren"]}),
        (("field/robin", "field/train"), {"": ["robin", "train"]}),
        (("train", "robin"), {"": ["robin", "train"]}),
    ],
)
def test_labelled_photos_need_no_training_split(
    tmp_path: Path, folders: tuple[str, ...], expected: dict[str, list[str]]
) -> None:
    found = labelled_structure(fill(tmp_path, *folders), Listing(), {"robin", "wren", "train"})
    assert classes(found) == expected


def test_a_relative_root_gives_the_same_structure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fill(tmp_path, "set/robin", "set/wren"))
    (tmp_path / "notes.txt").touch()
    for root in (Path(), Path("set")):
        listing = Listing()
        assert read(root, listing) == {"train": ["robin", "wren"]}
        assert [path for path, _ in listing.skipped] == ([Path("notes.txt")] if root == Path() else [])
