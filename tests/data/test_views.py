"""Photos of every kind, folders of every shape, and views that show what they say."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from scapnet.config import DataConfig, ViewConfig
from scapnet.data.datasets.folder import load_folder
from scapnet.data.datasets.grocery import load_grocery
from scapnet.data.images import find_images, read_image
from scapnet.data.load import EpochSampler, train_loader
from scapnet.data.photos import PhotoList
from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches
from scapnet.data.transforms import EvalViews, TrainViews, centre_view, to_input


def colour(path: Path, x: int = 0, y: int = 0) -> list[int]:
    values: list[int] = read_image(path)[:, y, x].tolist()
    return values


# --- reading ---


def test_every_mode_becomes_rgb(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("L", (3, 2), 90).save(path)
    assert read_image(path).shape == (3, 2, 3)
    assert colour(path) == [90, 90, 90]
    Image.new("1", (3, 2), 1).save(path)
    assert colour(path) == [255, 255, 255]
    for alpha, expected in ((255, 90), (0, 255), (128, 172)):
        Image.new("LA", (3, 2), (90, alpha)).save(path)
        assert colour(path) == [expected] * 3
        Image.new("RGBA", (3, 2), (90, 0, 255, alpha)).save(path)
        assert colour(path)[0] == expected
        assert colour(path)[2] == 255
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 0, 0, 0])
    palette.putpixel((1, 0), 1)
    palette.save(path, transparency=1)
    assert [colour(path), colour(path, 1)] == [[10, 20, 30], [255, 255, 255]]
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "x.jpg", quality=100)
    red, green, blue = colour(tmp_path / "x.jpg", 8, 8)
    assert red > 200 > 90 > max(green, blue)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    for name in ("ramp.png", "ramp.tif"):
        Image.fromarray(ramp).save(tmp_path / name)
        assert read_image(tmp_path / name)[1, 2].tolist() == list(range(256))
    Image.fromarray((ramp / 65535).astype(np.float32)).save(tmp_path / "float.tif")
    assert read_image(tmp_path / "float.tif")[0, 0].tolist() == list(range(256))


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # stored turned left: to be turned right
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_upright_photo(tmp_path: Path, orientation: int) -> None:
    upright = Image.new("RGB", (48, 32), "black")
    upright.paste("red", (0, 0, 24, 16))
    upright.paste("blue", (24, 0, 48, 16))
    stored = upright.transpose(TURNS[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = torch.from_numpy(np.array(upright)).permute(2, 0, 1)
    stored.save(tmp_path / "x.png", exif=exif)
    assert torch.equal(read_image(tmp_path / "x.png"), expected)
    stored.save(tmp_path / "x.jpg", exif=exif, quality=100, subsampling=0)
    assert (read_image(tmp_path / "x.jpg").int() - expected.int()).abs().max() < 8


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), name) for name in ("red", "blue", "green")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert colour(tmp_path / "x.gif") == [255, 0, 0]


def test_what_is_no_readable_image_is_named_in_one_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    files = {"cut.jpg": whole[: len(whole) // 2], "text.jpg": b"hello\nworld", "empty.png": b"", "head.gif": b"GIF89a"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    for name in (*files, "folder.jpg", "missing.jpg"):
        with pytest.raises(ValueError, match="no readable image") as error:
            read_image(tmp_path / name)
        assert str(error.value).count(str(tmp_path / name)) == 1
        assert "\n" not in str(error.value)


# --- finding ---


def photo(path: Path, side: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), "red").save(path)
    return path


def test_photos_are_found_in_order_and_hidden_files_are_not(tmp_path: Path) -> None:
    names = ["B.JPG", "a b/z/deep.webp", "a b/ü 日.Png", "c.jpeg"]
    for name in [*names, ".DS_Store.png", "a b/.hidden.png", ".cache/x.png"]:
        photo(tmp_path / name)
    for name in ("notes.txt", "jpg", "x.jpg.part"):
        (tmp_path / name).touch()
    assert find_images(tmp_path) == [tmp_path / name for name in names]


def test_a_link_to_a_folder_above_does_not_multiply_the_photos(tmp_path: Path) -> None:
    photo(tmp_path / "a" / "x.png")
    os.symlink(tmp_path, tmp_path / "a" / "above", target_is_directory=True)
    assert len(find_images(tmp_path)) == 1


# --- folders ---


def fill(root: Path, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        for i in range(count):
            photo(root / name / f"{i}.png")


def test_splits_are_read_as_they_lie(tmp_path: Path) -> None:
    fill(tmp_path, {"train/ä b": 3, "train/c": 2, "train/.x": 1, "val/c": 1, "test/ä b": 2})
    train, val, test, *_ = load_folder(tmp_path, 0.1, 0)
    assert val is not None
    assert test is not None
    assert train.classes == val.classes == test.classes == ("c", "ä b")
    assert (list(train.labels), list(val.labels), list(test.labels)) == ([0, 0, 1, 1, 1], [0], [1, 1])
    assert train[4].label == 1
    assert Path(train[4].path).parent.name == "ä b"
    assert train[4].image.shape == (3, 8, 8)
    assert train[4].marks.shape == (0, 4)


@pytest.mark.parametrize("below", ["train/", ""])
def test_held_out_photos_are_a_fixed_share_of_every_class(tmp_path: Path, below: str) -> None:
    fill(tmp_path, {f"{below}a": 20, f"{below}b": 8, f"{below}c": 1, f"{below}d": 2})
    paths: list[list[str]] = []
    for seed in (0, 0, 1):
        train, val, test, *_ = load_folder(tmp_path, 0.25, seed)
        assert val is not None
        assert test is None
        assert [list(val.labels).count(k) for k in range(4)] == [5, 2, 0, 1]
        assert [list(train.labels).count(k) for k in range(4)] == [15, 6, 1, 1]
        held = [val[i].path for i in range(len(val))]
        assert not set(held) & {train[i].path for i in range(len(train))}
        paths.append(held)
    assert paths[0] == paths[1] != paths[2]


@pytest.mark.parametrize(
    ("counts", "empty", "words"),
    [
        ({"train/a": 2}, "train/b", r"b holds no image"),
        ({"train/a": 2, "train/b": 2, "val/x": 1}, None, r"x is a class that the training photos do not have"),
        ({"train/a": 2, "train/b": 2, "test/a": 1}, "test/b", r"b holds no image"),
        ({"train/a": 2}, None, r"has 1 class folders and at least 2"),
        ({"a": 2}, None, r"has 1 class folders and at least 2"),
        ({}, "train", r"has 0 class folders"),
    ],
)
def test_folders_that_are_wrong_are_named(
    tmp_path: Path, counts: dict[str, int], empty: str | None, words: str
) -> None:
    fill(tmp_path, counts)
    if empty:
        (tmp_path / empty).mkdir(parents=True)
    with pytest.raises(ValueError, match=words) as error:
        load_folder(tmp_path, 0.25, 0)
    assert str(tmp_path) in str(error.value)


def test_a_missing_place_and_a_wrong_fraction_are_named(tmp_path: Path) -> None:
    for root, words in ((tmp_path / "no", "there is no folder .*no; "), (None, "--data.root")):
        with pytest.raises(ValueError, match=words):
            load_folder(root, 0.1, 0)
    fill(tmp_path, {"a": 2, "b": 2})
    for fraction in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="val_fraction"):
            load_folder(tmp_path, fraction, 0)


@pytest.mark.parametrize("empty", ["val", "test", None])
def test_no_split_is_empty(tmp_path: Path, empty: str | None) -> None:
    """A split without photos cannot be scored: it is refused, or it is no split."""
    fill(tmp_path, {"train/a": 1, "train/b": 1} if empty is None else {"train/a": 4, "train/b": 4})
    if empty is not None:
        fill(tmp_path, {"val/a" if empty == "test" else "test/a": 2})
        (tmp_path / empty).mkdir()
    splits = None
    with contextlib.suppress(ValueError):
        splits = load_folder(tmp_path, 0.25, 0)
    assert splits is None or all(split is None or len(split) > 0 for split in splits[:3])


def grocery(root: Path, train: str, classes: str | None = None) -> Path:
    for name in ("a.jpg", "b.jpg"):
        photo(root / "train" / name)
    header = "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int)\r\n"
    table = header + "Pear,1,Pear,1\r\nApple,0,Apple,0\r\n" if classes is None else classes
    (root / "classes.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    (root / "train.txt").write_bytes(train.encode("utf-8-sig"))
    return root


def test_grocery_lists_are_read_with_any_line_ends(tmp_path: Path) -> None:
    root = grocery(tmp_path, "train/a.jpg, 1, 1\r\ntrain/b.jpg, 0, 0\r\n")
    (root / "val.txt").write_text("train/b.jpg, 0, 0")
    train, val, test, *_ = load_grocery(root)
    assert test is None
    assert val is not None
    assert (train.classes, list(train.labels), list(val.labels)) == (("Apple", "Pear"), [1, 0], [0])
    assert train[0].path == str(root / "train" / "a.jpg")
    assert train[0].image.shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("lines", "number"), [("train/a.jpg, 1\n", 1), ("train/a.jpg, 1, 1\ntrain/b.jpg, 2, 0\n", 2), ("a, x, 0\n", 1)]
)
def test_a_malformed_grocery_line_is_named(tmp_path: Path, lines: str, number: int) -> None:
    with pytest.raises(ValueError, match=rf"train\.txt, line {number}: expected 'path, fine, coarse'"):
        load_grocery(grocery(tmp_path, lines))


def test_a_folder_that_is_no_grocery_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no classes\.csv"):
        load_grocery(tmp_path)
    with pytest.raises(ValueError, match=r"classes\.csv"):
        load_grocery(grocery(tmp_path, "train/a.jpg, 0, 0\n", "name,number\nApple,0\n"))


# --- views ---


class Fixed:
    """A data set of one given picture."""

    classes = ("a", "b")

    def __init__(self, image: Tensor, length: int = 3) -> None:
        self.image, self.labels = image, [0] * length

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.image, 0, "fixed", torch.tensor([[1.0, 1, 3, 3]]), ("mark",))


@pytest.mark.parametrize(("height", "width"), [(200, 120), (90, 160), (72, 72), (31, 47), (500, 333)])
@pytest.mark.parametrize("source", [None, 128])
def test_a_painted_box_lands_where_the_frame_says(height: int, width: int, source: int | None) -> None:
    view = ViewConfig(64, 72, source, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    y, x = round(height / 2 - min(height, width) * 0.3), round(width / 2 - min(height, width) * 0.2)
    box = torch.tensor([[x, y, x + min(height, width) * 0.4, y + min(height, width) * 0.5]]).round()
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    x0, y0, x1, y1 = (int(edge) for edge in box[0])
    image[:, y0:y1, x0:x1] = 255
    shown, frame = centre_view(image, view)
    inside = frame.to_view(box)
    torch.testing.assert_close(frame.to_photo(inside), box, rtol=0, atol=1e-3)
    views = to_input(shown, view)
    assert views["image"].shape == (3, 64, 64)
    assert ("source" in views) == (source is not None)
    for picture in views.values():
        bright = picture[0] > 0.5
        rows, columns = bright.any(1).nonzero().flatten(), bright.any(0).nonzero().flatten()
        found = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / picture.shape[-1]
        assert (found - inside[0]).abs().max() * picture.shape[-1] <= 1.0


def views_of(data: Any, source: int | None = None, seed: int = 0) -> TrainViews:
    view = ViewConfig(64, 72, source, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return TrainViews(data, view, DataConfig("folder", size=64, resize=72, source_size=source), seed)


def test_training_views_depend_on_seed_epoch_and_sample_alone() -> None:
    data = Finches("train", 4, 5, 72)
    one, two, other = views_of(data), views_of(data), views_of(data, seed=1)
    noise = torch.get_rng_state()
    first = one[2]["image"]
    assert torch.equal(noise, torch.get_rng_state())
    torch.manual_seed(5)
    two[3]
    assert torch.equal(two[2]["image"], first)
    assert not torch.equal(two[2 + len(data)]["image"], first)
    assert not torch.equal(other[2]["image"], first)
    assert one[2 + 3 * len(data)]["index"] == 2


@pytest.mark.parametrize("seed", [0, 20240131, 2**32 - 1])
def test_any_seed_that_seeds_the_weights_seeds_the_views(seed: int) -> None:
    views = views_of(Fixed(torch.zeros(3, 72, 72, dtype=torch.uint8)), seed=seed)
    assert views[4]["image"].shape == (3, 64, 64)
    assert sorted(EpochSampler(5, seed)) == [0, 1, 2, 3, 4]


def test_the_number_of_workers_changes_no_pixel() -> None:
    data, view = Finches("train", 4, 6, 72), ViewConfig(64, 72)
    config = DataConfig("finches", size=64, resize=72)
    batches: list[list[dict[str, Tensor]]] = []
    for workers in (0, 2):
        loader, sampler = train_loader(data, view, config, 2, 7, workers)
        sampler.epoch = 1
        batches.append(list(loader))
    assert len(batches[0]) == len(batches[1]) == 3
    for one, two in zip(*batches, strict=True):
        assert one.keys() == two.keys() == {"image", "target", "index", "broken"}  # no marks in training
        assert all(torch.equal(one[key], two[key]) for key in one)
        assert one["target"].tolist() == [data.labels[i] for i in one["index"].tolist()]


def test_view_and_source_show_the_same_place() -> None:
    image = torch.zeros(3, 200, 260, dtype=torch.uint8)
    image[:, 90:110, 120:140] = 255
    views = views_of(Fixed(image), source=160)
    places = []
    for key in range(8):
        found = views[key]
        torch.testing.assert_close(
            found["image"], tv.resize(found["source"], [64, 64], antialias=True), rtol=0, atol=0.02
        )
        centres = []
        for name in ("image", "source"):
            weight = found[name][0]
            grid = (torch.arange(weight.shape[0]) + 0.5) / weight.shape[0]
            centres.append(torch.stack([(weight.sum(0) * grid).sum(), (weight.sum(1) * grid).sum()]) / weight.sum())
        assert (centres[0] - centres[1]).abs().max() * 64 < 1
        places.append(centres[0])
    assert torch.stack(places).std(0).min() > 0.005  # the crop does move


def test_evaluation_views_carry_their_marks() -> None:
    image = torch.zeros(3, 72, 72, dtype=torch.uint8)
    found = EvalViews(Fixed(image), ViewConfig(64, 72))[1]
    assert found["marks"].shape == (EvalViews.MARKS, 4)
    torch.testing.assert_close(found["marks"][0], (torch.tensor([1.0, 1, 3, 3]) - 4) / 64)
    assert found["marks"][1:].isnan().all()
    assert (found["target"], found["index"]) == (0, 1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (700, 3)])
def test_a_photo_of_any_size_has_a_view(height: int, width: int) -> None:
    shown, frame = centre_view(torch.full((3, height, width), 9, dtype=torch.uint8), ViewConfig(64, 72))
    assert shown.shape == (3, 64, 64)
    box = frame.to_photo(torch.tensor([0.0, 0, 1, 1]))
    assert (box[:2] >= -1e-3).all()
    assert box[2] <= width + 1e-3
    assert box[3] <= height + 1e-3


def test_the_sampler_shows_every_sample_once_and_goes_on_where_it_stopped() -> None:
    orders = []
    for epoch in range(3):
        sampler, resumed, other = EpochSampler(50, 3), EpochSampler(50, 3), EpochSampler(50, 4)
        sampler.epoch = resumed.epoch = other.epoch = epoch
        resumed.skip = 17
        order = list(sampler)
        assert sorted(order) == list(range(50 * epoch, 50 * (epoch + 1)))
        assert list(resumed) == order[17:]
        assert len(resumed) == 33
        assert list(other) != order
        orders.append([key % 50 for key in order])
    assert orders[0] != orders[1] != orders[2]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def test_a_subset_keeps_names_and_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    part = PhotoList(paths, [0, 1, 0], ["x", "y"]).subset([2, 1])
    assert (part.paths, part.labels, part.classes) == ((paths[2], paths[1]), (0, 1), ("x", "y"))
