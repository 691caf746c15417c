"""CUB-200-2011 and NABirds: lists joined by id, boxes and points that lie where they were painted."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from samples import COLOURS, cub, photo, seen, write
from scapnet.data.datasets.cub import load_cub
from scapnet.data.datasets.nabirds import load_nabirds

# id, file, class id, training, box x y w h; the order of the ids is not the order of the classes.


@pytest.mark.parametrize(("end", "mark"), [("\n", False), ("\r\n", True), ("\n\n", False)])
def test_cub_labels_are_those_of_the_pictures(tmp_path: Path, end: str, mark: bool) -> None:
    train, val, test, about, *_ = load_cub(cub(tmp_path, end, mark))
    assert val is None
    assert test is not None
    assert about.name == "cub"
    assert train.classes == test.classes == ("001.Red", "002.Lime", "003.Blue")
    assert (list(train.labels), list(test.labels)) == ([1, 0, 2], [0, 2])
    for data in (train, test):
        assert [seen(data, i) for i in range(len(data))] == [COLOURS[label] for label in data.labels]


def test_boxes_and_points_are_where_their_authors_put_them(tmp_path: Path) -> None:
    train, _, test, *_ = load_cub(cub(tmp_path))
    assert test is not None
    assert train[0].box.tolist() == [1, 2, 4, 6]
    assert train.mark_names == test.mark_names == ("back", "left eye")  # type: ignore[attr-defined]
    assert train[0].marks[0].tolist() == [2, 5, 2, 5]
    assert train[0].marks[1].isnan().all()
    assert test[0].marks.tolist() == [[4.5, 1, 4.5, 1], [6, 3, 6, 3]]
    assert train[1].marks.isnan().all()
    assert test[1].box.tolist() == [0.5, 1, 8.5, 3]


def test_a_painted_bird_fills_its_box(tmp_path: Path) -> None:
    root = cub(tmp_path)
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[6:16, 9:21] = 255
    Image.fromarray(picture).save(root / "images" / "002.Lime" / "a b.jpg", quality=100)
    text = (root / "bounding_boxes.txt").read_text().replace("3 1.0 2.0 3.0 4.0", "3 9.0 6.0 12.0 10.0")
    (root / "bounding_boxes.txt").write_text(text)
    write(root / "parts" / "part_locs.txt", ["3 1 9.0 6.0 1", "3 2 20.0 15.0 1"])
    sample = load_cub(root).train[0]
    x0, y0, x1, y1 = (int(edge) for edge in sample.box)
    bright = sample.image[0] > 128
    assert bright[y0:y1, x0:x1].all()
    assert int(bright.sum()) == (y1 - y0) * (x1 - x0)
    assert all(bright[int(y), int(x)] for x, y, *_ in sample.marks.tolist())


def test_the_parent_folder_works_and_boxes_and_parts_are_optional(tmp_path: Path) -> None:
    home = cub(tmp_path / "CUB_200_2011")
    (home / "bounding_boxes.txt").unlink()
    (home / "parts" / "part_locs.txt").unlink()
    sample = load_cub(tmp_path).train[0]
    assert sample.box.isnan().all()
    assert sample.marks.shape == (0, 4)
    cub(tmp_path / "copy")
    with pytest.raises(ValueError, match=r"images\.txt in 2 folders"):
        load_cub(tmp_path)


@pytest.mark.parametrize("above", [False, True])
def test_the_2010_edition_is_refused(tmp_path: Path, above: bool) -> None:
    home = tmp_path / "CUB_200"
    write(home / "lists" / "train.txt", ["001.Red/1.jpg"])
    photo(home / "images" / "001.Red" / "1.jpg")
    with pytest.raises(ValueError, match=r"is CUB-200-2010, the older edition .*CUB_200_2011\.tgz"):
        load_cub(tmp_path if above else home)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("images.txt", "2 001.Red/2.jpg", "2 001.Red/7.jpg", r"images\.txt, line 3: there is no image .*7\.jpg"),
        ("images.txt", "2 001.Red/2.jpg", "2", r"images\.txt, line 3: expected 'IMAGE_ID PATH'"),
        ("images.txt", "2 001.Red/2.jpg", "1 001.Red/2.jpg", r"images\.txt, line 3: id 1 was on an earlier line"),
        ("image_class_labels.txt", "2 1", "2 4", r"labels\.txt, line 3: classes\.txt has no class 4"),
        ("image_class_labels.txt", "2 1", "7 1", r"labels\.txt, line 3: id 7 is not in the list of images"),
        ("train_test_split.txt", "2 0\n", "", r"train_test_split\.txt has no line for image id 2 \(4 of 5\)"),
        ("train_test_split.txt", "2 0", "2 x", r"split\.txt, line 3: is_training 'x' must be a whole number"),
        ("train_test_split.txt", "3 1", "3 0", r"no training image of class '002\.Lime' \(1 of 3"),
        ("bounding_boxes.txt", "2 0 4 8", "2 0 4", r"boxes\.txt, line 3: a box has 4 numbers"),
        ("bounding_boxes.txt", "2 0 4 8", "2 0 four 8", r"boxes\.txt, line 3: a box must be numbers"),
        ("bounding_boxes.txt", "2 0 4 8", "2 0 nan 8", r"boxes\.txt, line 3: a box must be numbers"),
        ("parts/part_locs.txt", "2 1 4.5", "2 3 4.5", r"part_locs\.txt, line 3: there is no image 2 or no part 3"),
        ("parts/part_locs.txt", "2 1 4.5 1.0 1", "2 1 4.5 1.0 2", r"part_locs\.txt, line 3: visible '2'"),
        ("classes.txt", "1 001.Red", "1 001.R\udce9d", r"classes\.txt is not UTF-8 text"),
    ],
)
def test_a_malformed_list_is_named_with_its_line(tmp_path: Path, file: str, old: str, new: str, words: str) -> None:
    path = cub(tmp_path) / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new), errors="surrogateescape")
    with pytest.raises(ValueError, match=words) as error:
        load_cub(tmp_path)
    assert "\n" not in str(error.value)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    (cub(tmp_path) / "train_test_split.txt").unlink()
    with pytest.raises(ValueError, match=r"train_test_split\.txt cannot be read"):
        load_cub(tmp_path)
    with pytest.raises(ValueError, match=r"has no images\.txt; .*get CUB_200_2011\.tgz"):
        load_cub(tmp_path / "images")


def test_folders_are_listed_once_and_no_photo_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, looked, listdir = cub(tmp_path), [], os.listdir

    def spy(path: Path) -> list[str]:
        looked.append(path)
        return listdir(path)

    monkeypatch.setattr("os.listdir", spy)
    monkeypatch.setattr("scapnet.data.photos.read_image", lambda path: pytest.fail(f"{path} was read"))
    load_cub(root)
    assert sorted(path.name for path in looked) == ["001.Red", "002.Lime", "003.Blue"]


def nabirds(root: Path) -> Path:
    ids = {
        "0000139e-21": ("0817/0000139e21.jpg", 817, 1),
        "00a": ("0400/00a.jpg", 400, 1),
        "00b": ("0400/00b.jpg", 400, 0),
    }
    for name, number, _ in ids.values():
        photo(root / "images" / name, "red" if number == 817 else "lime")
    write(root / "images.txt", [f"{key} {name}" for key, (name, *_) in ids.items()])
    write(root / "image_class_labels.txt", [f"{key} {number}" for key, (_, number, _) in ids.items()])
    write(root / "train_test_split.txt", [f"{key} {training}" for key, (*_, training) in ids.items()])
    write(root / "bounding_boxes.txt", [f"{key} 1 2 3 4" for key in ids])
    write(root / "classes.txt", ["0 Birds", "22 Ducks", "400 Wood Duck (Female)", "817 Oak Titmouse"])
    write(root / "hierarchy.txt", ["22 0", "400 22", "817 0"])
    return root


def test_nabirds_classes_are_those_with_images(tmp_path: Path) -> None:
    train, _, test, about, *_ = load_nabirds(nabirds(tmp_path / "nabirds"))
    assert test is not None
    assert about.downloads == ()
    assert train.classes == ("Wood Duck (Female)", "Oak Titmouse")
    assert (list(train.labels), list(test.labels)) == ([1, 0], [0])
    assert [seen(train, 0), seen(train, 1), seen(test, 0)] == ["red", "lime", "lime"]
    torch.testing.assert_close(train[0].box, torch.tensor([1.0, 2, 4, 6]))
