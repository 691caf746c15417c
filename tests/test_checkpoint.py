"""Model folders: what was saved comes back to the bit, or one sentence says why not."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from torch import nn

from samples import model_with
from scapnet import checkpoint
from scapnet.checkpoint import from_pretrained, save_pretrained, start_from_model
from scapnet.config import ModelConfig, PartsConfig, ViewConfig
from scapnet.jsonfile import read_json, write_json
from scapnet.model import SCAPNet
from scapnet.modules import GridGate, PartGraph
from scapnet.network import Network
from scapnet.tensorfile import save_weights

FULL = ModelConfig("test_resnet", "none", parts=PartsConfig(size=32))
VIEW = ViewConfig(64, 72, 96, (0.5, 0.4, 0.3), (0.2, 0.2, 0.1))


def make(config: ModelConfig = FULL, seed: int = 0, classes: tuple[str, ...] = ("Äpfel", "b/c", "日本")) -> SCAPNet:
    torch.manual_seed(seed)
    model = SCAPNet.from_config(config, len(classes), VIEW.size)
    model.view, model.classes = VIEW, classes
    model.train()(torch.randn(4, 3, 64, 64))  # statistics of its own in every norm
    return model.eval()


def same(one: Network, other: Network) -> bool:
    image, source = torch.randn(2, 3, 64, 64), torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        a, b = one(image, source), other(image, source)
    equal = torch.equal(a.probs, b.probs) and torch.equal(a.logits, b.logits)
    if a.parts is None or b.parts is None:
        return equal and a.parts is b.parts
    return equal and torch.equal(a.parts.boxes, b.parts.boxes) and torch.equal(a.part_logits, b.part_logits)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"parts__shared": True},
        {"parts__enabled": False, "relation__enabled": False},
        {"gate__enabled": False, "parts__enabled": False, "relation__enabled": False},
        {"relation__heads": 3, "parts__strategy": "top", "parts__total": 5, "gate__mask": "none"},
        {"relation__geometry": False, "parts__keep": (2, 0, 1), "gate__mode": "soft"},
    ],
)
def test_a_model_comes_back_to_the_bit(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = make(model_with(FULL, **changes))
    assert save_pretrained(model, tmp_path / "run" / "model", {"accuracy": 0.5}) == tmp_path / "run" / "model"
    for place in (tmp_path / "run" / "model", str(tmp_path / "run")):
        loaded = from_pretrained(place)
        assert same(model, loaded)
        assert (loaded.classes, loaded.view, loaded.config) == (model.classes, model.view, model.config)
        assert not loaded.training
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["model"]  # no draft is left
    assert "| accuracy | 50.0% |" in (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")


def test_loading_needs_neither_the_starting_weights_nor_the_noise_of_torch(tmp_path: Path) -> None:
    model = make()
    model.config = replace(model.config, weights=str(tmp_path / "gone.safetensors"))
    save_pretrained(model, tmp_path / "m")
    assert same(model, from_pretrained(tmp_path / "m"))


class Killed(BaseException):
    pass


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop before the first, second, ... change of the disk until none is left to stop."""
    small = model_with(FULL, gate__enabled=False, parts__enabled=False, relation__enabled=False)
    old, new = make(small, seed=1), make(small, seed=2)
    saved, count = save_pretrained(old, tmp_path / "saved"), 0

    def stops(function: Callable[..., Any], limit: int) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count > limit:
                raise Killed
            return function(*args, **kwargs)

        return run

    for limit in range(50):
        folder = tmp_path / str(limit)
        shutil.copytree(saved, folder)
        count = 0
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", stops(shutil.rmtree, limit))
            patch.setattr(checkpoint, "save_weights", stops(save_weights, limit))
            for name in ("mkdir", "rename", "replace", "write_text", "unlink"):
                patch.setattr(Path, name, stops(getattr(Path, name), limit))
            try:
                save_pretrained(new, folder)
                break
            except Killed:
                pass
        found = from_pretrained(folder)
        assert same(found, old) or same(found, new), limit
        save_pretrained(new, folder)  # what the kill left over is in nobody's way
        assert same(from_pretrained(folder), new)
    assert 5 < limit < 49
    assert same(from_pretrained(folder), new)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": [1, None]})
    assert read_json(tmp_path / "a.json") == {"é": [1, None]}
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"x": object()})
    assert read_json(tmp_path / "a.json") == {"é": [1, None]}


def edit(folder: Path, **changes: Any) -> None:
    about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(about | changes))


def drop(folder: Path, key: str) -> None:
    about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del about[key]
    (folder / "config.json").write_text(json.dumps(about))


def other_weights(folder: Path) -> None:
    save_pretrained(
        make(model_with(FULL, gate__enabled=False, parts__enabled=False, relation__enabled=False)),
        folder / "x",
    )
    (folder / "x" / "model.safetensors").replace(folder / "model.safetensors")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "config.json cannot be read"),
    "half a config": (lambda f: (f / "config.json").write_text('{"format": 1,'), "not valid JSON"),
    "binary config": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "not valid JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[1]"), "not hold a JSON object"),
    "no classes": (lambda f: drop(f, "classes"), "no classes"),
    "no view": (lambda f: drop(f, "view"), "no view"),
    "later format": (lambda f: edit(f, format=99), "format 1"),
    "unknown setting": (lambda f: edit(f, model={"colour": 1}), "no setting colour"),
    "model is no object": (lambda f: edit(f, model=[1]), "config.json"),
    "classes are a number": (lambda f: edit(f, classes=3), "config.json"),
    "a setting of another type": (lambda f: edit(f, model={"backbone": "test_resnet", "grid": "four"}), "config.json"),
    "one class": (lambda f: edit(f, classes=["a"]), "at least 2 classes"),
    "another class count": (lambda f: edit(f, classes=list("abcd")), "does not fit its config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds no model"),
    "weights of another model": (other_weights, "does not fit its config.json"),
    "truncated weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-100]),
        "does not fit its config.json",
    ),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "does not fit its config.json"),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pretrained(make(), tmp_path_factory.mktemp("saved") / "model")


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_model_folder_is_one_sentence(tmp_path: Path, saved: Path, kind: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    spoil, words = BROKEN[kind]
    spoil(folder)
    with pytest.raises(ValueError, match=words) as error:
        from_pretrained(folder)
    assert "\n" not in str(error.value)


def test_weights_of_another_user_are_not_called_damaged(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoint, "check_header", refused)  # the tests may run as root, whom no permission stops
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read by this user; chmod a\+r"):
        from_pretrained(saved)


def test_only_a_hub_id_is_looked_up_at_the_hub(tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def hub(name: str, **_: object) -> str:
        asked.append(name)
        if name != "owner/name":
            raise OSError("offline")
        return str(saved)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    local: list[Path | str] = ["nowhere", "a/b/c", "./a", "../a/b", str(tmp_path / "a"), "~/a", Path("runs/demo")]
    for path in [*local, "empty"]:
        with pytest.raises(ValueError, match=r"there is no folder|holds no model") as error:
            from_pretrained(path)
        assert "\n" not in str(error.value)
    assert asked == []
    with pytest.raises(ValueError, match="the hub gave no model"):
        from_pretrained("owner/other")
    assert same(from_pretrained("owner/name"), from_pretrained(saved))
    assert asked == ["owner/other", "owner/name"]


def test_a_network_composed_by_hand_is_not_saved_as_something_else(tmp_path: Path) -> None:
    whole = make()
    model = SCAPNet(whole.backbone, whole.classifier, whole.gate)
    model.view, model.classes = whole.view, whole.classes
    with pytest.raises(ValueError, match=r"SCAPNet was composed by hand.*build_model.*save_model") as error:
        save_pretrained(model, tmp_path / "model")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
    model.config = model_with(FULL, parts__enabled=False, relation__enabled=False)  # a config that does describe it
    assert same(from_pretrained(save_pretrained(model, tmp_path / "model")), model)


@pytest.mark.parametrize("module", ["relation", "gate", "classifier"])
def test_a_network_with_another_module_is_not_saved_as_its_config(tmp_path: Path, module: str) -> None:
    model = make()
    channels, dim = model.backbone.channels, model.backbone.dim
    others = {"relation": PartGraph(dim), "gate": GridGate(channels, hidden=8), "classifier": nn.Linear(dim, 4)}
    setattr(model, module, others[module])
    before = torch.get_rng_state()
    with pytest.raises(
        ValueError, match=rf"does not describe it \(the first difference is {module}.*save_model"
    ) as error:
        save_pretrained(model, tmp_path / "model")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(torch.get_rng_state(), before)


def test_settings_that_no_tensor_shows_are_not_saved_as_others(tmp_path: Path) -> None:
    model = make()
    for name, value in (("pool", (0.2, 0.9)), ("mask", "none"), ("part_size", 64)):
        before = getattr(model, name)
        setattr(model, name, value)
        with pytest.raises(ValueError, match=rf"does not describe it \(the first difference is {name}"):
            save_pretrained(model, tmp_path / "model")
        setattr(model, name, before)
    model.set_pool((0.2, 0.9))
    assert from_pretrained(save_pretrained(model, tmp_path / "model")).config.parts.pool == (0.2, 0.9)


def test_the_threshold_travels_with_the_model(tmp_path: Path) -> None:
    model = make()
    assert from_pretrained(save_pretrained(model, tmp_path / "a")).threshold is None
    model.threshold, model.sure = 0.1 + 0.2, 0.7
    found = from_pretrained(save_pretrained(model, tmp_path / "b"))
    assert (found.threshold, found.sure) == (model.threshold, 0.7)
    edit(tmp_path / "b", threshold="high")
    with pytest.raises(ValueError, match="describes no model"):
        from_pretrained(tmp_path / "b")


def start(folder: Path, classes: tuple[str, ...], **changes: Any) -> tuple[SCAPNet, str | None]:
    """A new network that starts from a model folder, and what it says."""
    torch.manual_seed(9)
    config = model_with(replace(FULL, weights=str(folder)), **changes)
    model = SCAPNet.from_config(config, len(classes), VIEW.size)
    return model, start_from_model(model, classes)


CLASSIFIERS = ("classifier.", "part_classifier.")


@pytest.mark.parametrize("classes", [("x", "y"), ("x", "y", "z"), ("Äpfel", "b/c", "日本")])
def test_a_network_starts_from_a_model_without_the_classifiers_of_other_classes(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    source = make()
    save_pretrained(source, tmp_path / "run" / "model")
    model, said = start(tmp_path / "run", classes)
    before, after = source.state_dict(), model.state_dict()
    same_classes = classes == source.classes
    for key, value in before.items():
        if not key.startswith(CLASSIFIERS) or same_classes:
            assert torch.equal(after[key], value), key
        else:
            assert after[key].shape != value.shape or not torch.equal(after[key], value), key
    assert said is not None
    assert f"of {len(before)} tensors of {tmp_path / 'run' / 'model' / 'model.safetensors'}" in said
    left = "; left out: classifier, part_classifier (it has 3 other classes)"
    assert said.endswith(left) is not same_classes


def test_modules_of_another_shape_are_left_out(tmp_path: Path) -> None:
    source = make()
    save_pretrained(source, tmp_path / "m")
    model, said = start(tmp_path / "m", source.classes, relation__key_dim=32, gate__hidden=8)
    assert said is not None
    assert said.endswith("; left out: gate, relation")
    assert torch.equal(model.classifier.state_dict()["weight"], source.classifier.state_dict()["weight"])
    plain, said = start(tmp_path / "m", ("x", "y"), gate__enabled=False, parts__enabled=False, relation__enabled=False)
    assert torch.equal(
        plain.state_dict()["backbone.net.conv1.0.weight"], source.state_dict()["backbone.net.conv1.0.weight"]
    )


def test_other_starting_weights_say_what_was_loaded(tmp_path: Path) -> None:
    torch.save({"state_dict": make().backbone.net.state_dict()}, tmp_path / "w.pth")
    assert "the test_resnet backbone starts from" in str(start(tmp_path / "w.pth", ("x", "y"))[1])
    model = make()
    assert start_from_model(model, model.classes) is None


def test_a_model_on_another_backbone_names_it(tmp_path: Path) -> None:
    save_pretrained(make(), tmp_path / "m")
    with pytest.raises(ValueError, match=r"choose theirs with --model\.backbone test_resnet$"):
        start(tmp_path / "m", ("x", "y"), backbone="test_convnext")
