"""Models go to a hub and come back the same; see `fake_hub`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

from fake_hub import FakeHub, running
from samples import make, painted
from scapnet import Predictor, from_pretrained
from scapnet.checkpoint import MODEL_FILES


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeHub]]:
    with running() as (address, contents):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield contents


def written(folder: Path) -> set[str]:
    """The files of a model folder; one that was never trained has no prototypes."""
    return {name for name in MODEL_FILES if (folder / name).is_file()}


def test_a_model_goes_to_the_hub_and_comes_back(hub: type[FakeHub], model_folder: Path, tmp_path: Path) -> None:
    before = Predictor.from_pretrained(model_folder, device="cpu")
    url = before.push_to_hub("me/birds", token="hf_secret", commit_message="first")
    assert "me/birds" in url
    uploaded = hub.repositories["me/birds"]["main"]
    assert {name for name in uploaded if not name.startswith(".")} == written(model_folder)
    assert all(uploaded[name] == (model_folder / name).read_bytes() for name in written(model_folder))
    cache = tmp_path / "cache"
    after = Predictor.from_pretrained("me/birds", token="hf_secret", cache_dir=cache, device="cpu")
    photo = painted(60, 80)
    assert after(photo) == before(photo)
    assert hub.tokens == {"Bearer hf_secret"}
    assert {path.name for path in cache.iterdir()} >= {"models--me--birds"}
    # Without a hub, what was cached is there still.
    model = from_pretrained("me/birds", token="hf_secret", cache_dir=cache)
    assert model.classes == before.classes


def test_a_revision_is_that_one(hub: type[FakeHub], tmp_path: Path) -> None:
    for branch, seed in (("main", 1), ("old", 2)):
        torch.manual_seed(seed)
        model = make()
        torch.nn.init.normal_(next(model.classifier.parameters()), std=seed)
        Predictor(model).push_to_hub("me/birds", branch=branch, token="t")
    weights = [
        from_pretrained("me/birds", revision=revision, token="t", cache_dir=tmp_path).classifier.state_dict()["weight"]
        for revision in (None, "main", "old")
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("options", [{"revision": "gone"}, {}])
def test_what_the_hub_does_not_have_is_one_sentence(
    options: dict[str, str], hub: type[FakeHub], tmp_path: Path
) -> None:
    name = "me/birds" if options else "me/nobody"
    hub.repositories["me/birds"] = {"main": {"config.json": b"{}"}}
    with pytest.raises(ValueError, match="the hub gave no model of that name") as error:
        Predictor.from_pretrained(name, cache_dir=tmp_path, token="t", **options)
    assert "\n" not in str(error.value)


def test_nothing_else_of_a_repository_is_fetched_and_nothing_of_it_is_run(
    hub: type[FakeHub], model_folder: Path, tmp_path: Path
) -> None:
    files = {name: (model_folder / name).read_bytes() for name in written(model_folder)}
    about = json.loads(files["config.json"])
    about |= {"auto_map": {"AutoModel": "modeling.Evil"}, "trust_remote_code": True}
    bad = b"raise SystemExit('run')"
    hub.repositories["me/evil"] = {
        "main": files | {"config.json": json.dumps(about).encode(), "modeling.py": bad, "pytorch_model.bin": bad}
    }
    found = Predictor.from_pretrained("me/evil", cache_dir=tmp_path, token="t", device="cpu")
    assert found.classes == from_pretrained(model_folder).classes
    fetched = {path.name for path in (tmp_path / "models--me--evil" / "snapshots").glob("*/*")}
    assert fetched == {"config.json", "model.safetensors", "README.md"}


def test_a_folder_is_saved_and_loaded(model_folder: Path, tmp_path: Path) -> None:
    before = Predictor.from_pretrained(model_folder, device="cpu")
    assert before.save_pretrained(tmp_path / "copy") is None
    assert {path.name for path in (tmp_path / "copy").iterdir()} == written(model_folder)
    by_hand = Predictor(from_pretrained(model_folder))
    by_hand.save_pretrained(tmp_path / "made")
    photo = painted(60, 80)
    for folder in ("copy", "made"):
        assert Predictor.from_pretrained(tmp_path / folder, device="cpu")(photo) == before(photo)


def test_a_folder_is_not_written_over_itself(model_folder: Path, tmp_path: Path) -> None:
    before = Predictor.from_pretrained(model_folder)
    with pytest.raises(ValueError, match="already; give another folder"):
        before.save_pretrained(model_folder)
    assert {"config.json", "model.safetensors", "README.md"} <= written(model_folder)

    class Other:
        view, classes, threshold = before.engine.view, before.engine.classes, None

    other: Any = Other()
    with pytest.raises(ValueError, match="not loaded from a model folder"):
        Predictor(other).save_pretrained(tmp_path / "x")


def test_the_hub_reads_the_card(model_folder: Path) -> None:
    card = huggingface_hub.ModelCard.load(model_folder / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("scapnet", "image-classification")
