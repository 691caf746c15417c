"""The nearest training photos and the same parts in them, pairs of classes, pictures and the command."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity

from samples import Command, own_photos
from scapnet.build import build_model
from scapnet.checkpoint import from_pretrained, save_pretrained
from scapnet.config import ViewConfig
from scapnet.data.images import read_image
from scapnet.data.record import write_record
from scapnet.data.recorded import data_of_run
from scapnet.explain import Explanation, TrainingPhotos, draw_explanation, explain, explain_pair
from scapnet.explain import neighbours as nearest
from scapnet.explain.neighbours import FOLDER
from scapnet.explain.pair import explain_pair_of_run
from scapnet.jsonfile import write_json
from scapnet.serialization import to_dict


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with 8 training and 2 validation photos of each of three classes, and a network of chance."""
    home = tmp_path_factory.mktemp("explain")
    config = own_photos(home / "photos", each=8)
    splits, record, _ = data_of_run(config.data, None)
    torch.manual_seed(0)
    model: Any = build_model(config.model, 3, 64)
    model.view, model.classes = ViewConfig(64, 72), tuple(splits.train.classes)
    with torch.no_grad():
        for module in (model.classifier, model.part_classifier):
            module.weight.mul_(20)
    folder = home / "run"
    folder.mkdir()
    write_json(folder / "config.json", to_dict(config))
    write_record(folder, record)
    save_pretrained(model, folder / "model")
    return folder


def held_out(run: Path) -> Path:
    return next((run.parent / "photos" / "val" / "a").iterdir())


def test_the_nearest_parts_are_those_of_a_plain_search(run: Path) -> None:
    model = from_pretrained(run)
    said: list[str] = []
    training = TrainingPhotos(run, model, say=said.append)
    found = explain(model, held_out(run), training=training)
    names = [side.name for side in found.neighbours]
    assert names == [found.answer, found.versus]
    assert said == [f"reading 8 training photos of {name}" for name in names]
    k = model.classes.index(found.answer)
    assert found.embeddings is not None
    theirs = {}
    for i, label in enumerate(training.data.labels):
        if label == k:
            theirs[i] = explain(model, training.data.name(i), k, (k + 1) % 3)  # type: ignore[attr-defined]
    for m, row in enumerate(found.neighbours[0].parts):
        best = {}
        for i, other in theirs.items():
            assert other.embeddings is not None
            alike = cosine_similarity(found.embeddings[m], other.embeddings, 1)
            best[i] = float(alike.max()), other.parts[int(alike.argmax())].box
        order = sorted(best, key=lambda i: -best[i][0])[: len(row)]
        assert [part.similarity for part in row] == pytest.approx([best[i][0] for i in order], abs=1e-5)
        for part in row:
            assert [40 * edge for edge in part.box] == pytest.approx(best[part.sample][1], abs=1e-3)
    for photo in found.neighbours[0].photos:
        other = theirs[photo.sample]
        assert found.features is not None
        assert other.features is not None
        assert photo.similarity == pytest.approx(float(cosine_similarity(found.features, other.features, 0)), abs=1e-5)


def test_the_index_is_kept_and_belongs_to_one_model(run: Path) -> None:
    model, said = from_pretrained(run), list[str]()
    first = TrainingPhotos(run, model, say=said.append).of_class(0)
    said.clear()
    again = TrainingPhotos(run, model, say=said.append).of_class(0)
    assert said == []
    assert torch.equal(first.photos, again.photos)
    assert torch.allclose(first.embeddings, again.embeddings, atol=1e-3)  # kept in half precision
    file = run / FOLDER / "00000.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    TrainingPhotos(run, model, say=said.append).of_class(0)
    assert len(said) == 1  # a damaged index is made again
    weights = run / "model" / "model.safetensors"
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept[:-4] + b"abcd")
        TrainingPhotos(run, model, say=said.append).of_class(0)
    finally:
        weights.write_bytes(kept)
    assert len(said) == 2


def test_a_training_photo_is_not_its_own_neighbour(run: Path) -> None:
    model = from_pretrained(run)
    training = TrainingPhotos(run, model)
    photo = Path(training.data.name(0))  # type: ignore[attr-defined]
    found = explain(model, photo, training=training)
    for side in found.neighbours:
        whole = nearest(found, training, model.classes.index(side.name), 99)
        names = [one.path for one in whole.photos]
        assert len(names) == (7 if side.name == photo.parent.name else 8)
        assert not any(name.endswith(f"{photo.parent.name}/{photo.name}") for name in names)


def total(one: Explanation) -> float:
    return one.whole.share + one.parts_share + one.bias


def test_a_pair_is_the_sum_of_its_photos(run: Path) -> None:
    model = from_pretrained(run)
    found, data = explain_pair_of_run(run, model, "a", "c")
    assert (found.answer, found.versus, found.split) == ("a", "c", "val")
    assert [photo.true for photo in found.photos] == ["a", "a", "c", "c"]
    for photo in found.photos:
        assert model.classes[data.labels[photo.sample]] == photo.true
        assert (photo.explanation.answer, photo.explanation.versus) == ("a", "c")
        assert total(photo.explanation) == pytest.approx(photo.explanation.difference)
    for one, sign in zip(found.classes, (1, -1), strict=True):
        mine = [photo.explanation for photo in found.photos if photo.true == one.name]
        assert one.right == sum(sign * e.difference > 0 for e in mine)
        assert one.whole_right == sum(sign * e.whole.share > 0 for e in mine)
        assert one.parts_right == sum(sign * sum(part.share for part in e.parts) > 0 for e in mine)
        assert one.whole_share == pytest.approx(sign * sum(e.whole.share for e in mine) / len(mine))
        by_scale = [sign * part.share for e in mine for part in e.parts if part.scale == 2]
        assert one.scale_shares[2] == pytest.approx(sum(by_scale) / len(by_scale))
        for chosen, order in ((found.telling(one.name, 2), 1), (found.misleading(one.name, 2), -1)):
            for photo, m in chosen:
                values = [order * sign * part.share for part in photo.explanation.parts]
                assert values[m] == max(values) > 0
            tops = [order * sign * photo.explanation.parts[m].share for photo, m in chosen]
            assert tops == sorted(tops, reverse=True)
    with pytest.raises(ValueError, match="cannot be compared with itself"):
        explain_pair(model, data, "a", 0)


def test_a_photo_from_the_command_line(run: Path, tmp_path: Path, command: Command) -> None:
    photo, out = held_out(run), tmp_path / "why.png"
    said, _ = command("explain", run, photo, "--versus", "c", "a", "--out", out)
    assert f"{photo}: c (" in said
    assert "and not a (" in said
    assert said.splitlines()[-1] == str(out)
    with Image.open(out) as picture:
        assert picture.width > 700
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or ()}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} & colours
    said, _ = command("explain", run, photo, "--versus", "c", "a", "--out", out, "--format", "json")
    values = json.loads(said)
    shares = values["whole"]["share"] + sum(part["share"] for part in values["parts"])
    assert shares == pytest.approx(values["probability"] - values["versus_probability"])
    assert len(values["neighbours"]) == 2
    said, warned = command("explain", run / "model", photo, "--out", out)
    assert "shown without training photos" in warned


def test_a_pair_from_the_command_line(run: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "pair.png"
    said, warned = command("explain", run, "--versus", "a", "b", "--out", out)
    assert "a and b, 4 val photos" in said
    assert "val: " in warned
    assert Image.open(out).width > 700
    said, _ = command("explain", run, "--versus", "a", "b", "--out", out, "--format", "json", "--split", "train")
    assert len(json.loads(said)["photos"]) == 16


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["photo.jpg", "--out", "why.txt"], "must end in"),
        (["photo.jpg"], "there is no photo photo.jpg"),
        (["--versus", "a"], "give a photo, or two classes"),
        (["--versus", "a", "b", "c"], "give a photo, or two classes"),
        (["--versus", "a", "zz"], "no class 'zz'"),
        (["--versus", "a", "b", "--split", "test"], "has no test split"),
    ],
)
def test_what_cannot_be_explained_is_one_sentence(run: Path, refuse: Any, arguments: list[str], words: str) -> None:
    assert words in refuse("explain", run, *arguments)


def test_boxes_are_drawn_where_the_parts_are(run: Path) -> None:
    model, photo = from_pretrained(run), held_out(run)
    found = explain(model, photo)
    picture = draw_explanation(found, read_image(photo))
    plain = draw_explanation(Explanation(**{**vars(found), "parts": ()}), read_image(photo))
    assert picture.size[0] == plain.size[0]
    left = (8, 8, 8 + 384, 8 + 384)
    assert picture.crop(left).tobytes() != plain.crop(left).tobytes()
