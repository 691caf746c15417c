"""Bad input: exit code 2, one sentence, nothing half-written. Help without anything heavy."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from samples import TINY, Refuse, sentence
from scapnet import cli
from scapnet.build import build_model
from scapnet.checkpoint import save_pretrained
from scapnet.config import ModelConfig, ViewConfig
from scapnet.jsonfile import write_json
from scapnet.serialization import to_dict

TRAIN = (
    "--data.synthetic.num-classes",
    4,
    "--data.synthetic.train-length",
    16,
    "--data.synthetic.test-length",
    8,
    "--model.weights",
    "none",
)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["train", "papre"], "papre"),
        (["train", "demo", "--model.gird", "4"], "gird"),
        (["train", "demo", "--model.gate.grid", "four"], "four"),
        (["train", "demo", "--model.gate.mask", "stage9"], "stage9"),
        (["predict"], "model"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_a_word_that_the_command_line_does_not_know(refuse: Refuse, arguments: list[str], word: str) -> None:
    assert word in refuse(*arguments).lower()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model.gate.grid", 9), "grid of 9 does not fit the 8 x 8 map"),
        (("--model.parts.keep", 17, 2, 1), "16 windows"),
        (("--model.parts.keep", 3, 2, 1, 1, 1), "use 1 to 4 quotas"),
        (("--model.weights", "gone.safetensors"), "no weight file gone.safetensors"),
        (("--model.backbone", "resnet_5000"), "no network named resnet_5000"),
        (("--model.backbone", "resnet18.no_such_tag"), "no_such_tag"),
        (("--model.backbone", "hrnet_w18_small"), "cannot be cut"),
        (("--model.parts.size", 0), "part"),
        (("--data.size", 0, "--data.resize", 0), "0 px"),
        (("--data.synthetic.num-classes", 1), "classes is 1"),
        (("--data.synthetic.train-length", 0), "length is 0"),
        (("--data.name", "folder", "--data.root", "gone"), "there is no folder gone"),
        (("--data.name", "folder"), "--data.root"),
        (("--data.name", "grocery", "--data.root", "."), "has no classes.csv"),
        (("--train.epochs", 0), "epochs is 0"),
        (("--train.stage1-epochs", 14), "never be trained"),
        (("--train.lr", -1.0), "learning rate"),
        (("--loss.distill", "nan"), "distill is nan"),
        (("--loss.success", "-1"), "success is -1"),
        (("--loss.cam", "nan"), "cam is nan"),
        (("--model.parts.pool", 0.5, "nan"), "a weight of parts.pool is nan"),
        (("--model.parts.pool", 0, 0), "both weights of parts.pool are 0"),
    ],
)
def test_settings_that_cannot_make_a_run(refuse: Refuse, arguments: tuple[object, ...], words: str) -> None:
    assert words in sentence(refuse("train", "demo", *TRAIN, *arguments))


def fill(root: Path, classes: str, count: int = 6) -> Path:
    for name in classes:
        for i in range(count):
            (root / "train" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 40), (40 * i, 99, 0)).save(root / "train" / name / f"{i}.png")
    return root


FOLDER = (
    "--data.name",
    "folder",
    "--data.size",
    64,
    "--data.resize",
    64,
    "--model.parts.size",
    32,
    "--train.epochs",
    1,
    "--train.stage1-epochs",
    0,
)


def test_a_class_folder_without_images(refuse: Refuse, tmp_path: Path) -> None:
    (fill(tmp_path / "data", "ab") / "train" / "c").mkdir()
    said = sentence(refuse("train", "demo", *TRAIN, *FOLDER, "--data.root", tmp_path / "data"))
    assert str(Path("train") / "c") in said


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_training_photo_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    data = fill(tmp_path / "data", "ab")
    (data / "train" / "a" / "bad.jpg").write_text("no image")
    (data / "val").mkdir()
    shutil.copytree(data / "train" / "b", data / "val" / "b")
    options = (*TRAIN, *FOLDER, "--data.workers", workers, "--data.root", data)
    monkeypatch.setattr(sys, "argv", ["scapnet", "train", "demo", *map(str, options), "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert "bad.jpg is not a readable image" in sentence(said)


def test_weights_of_another_network(refuse: Refuse, tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(1)}, tmp_path / "other.pth")
    said = sentence(refuse("train", "demo", *TRAIN, "--model.weights", tmp_path / "other.pth"))
    assert "does not hold the weights of test_resnet" in said


def test_an_existing_run_folder_is_left_alone(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert "resume" in sentence(refuse("train", "demo", *TRAIN, "--out", tmp_path / "run"))
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("train", "demo", *TRAIN), "--out"),
        (("reproduce", "fig2"), "--out"),
        (("reproduce", "table3"), "--runs"),
        (("data", "check", "folder", "--root", "gone"), "--out"),
    ],
)
def test_a_folder_that_cannot_be_made_is_refused_at_once(
    words: tuple[object, ...], option: str, refuse: Refuse, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    said = sentence(refuse(*words, option, tmp_path / "file" / "below"))
    assert f"{tmp_path / 'file' / 'below'} cannot be a folder: {tmp_path / 'file'} is a file" in said
    assert option in said
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What training leaves, without the training."""
    model = build_model(TINY.model, 4, 64)
    model.view, model.classes = ViewConfig(64, 72), ("a", "b", "c", "d")
    save_pretrained(model, tmp_path / "run" / "model")
    data = replace(TINY.data, name="folder", root=fill(tmp_path / "data", "abcd"))
    write_json(tmp_path / "run" / "config.json", to_dict(replace(TINY, data=data)))
    return tmp_path / "run"


def test_a_run_refuses_what_it_cannot_give(refuse: Refuse, tmp_path: Path, run: Path) -> None:
    other = fill(tmp_path / "other", "abc")
    renamed = fill(tmp_path / "renamed", "abcx")
    assert f"{renamed / 'train' / 'x'} is not a class of the model" in sentence(refuse("eval", run, "--root", renamed))
    assert "there is no folder" in sentence(refuse("eval", run, "--root", tmp_path / "gone"))
    assert "no test split; it has train and val" in sentence(refuse("eval", run, "--split", "test"))
    assert "no val split; it has train" in sentence(refuse("eval", run, "--root", other, "--split", "val"))
    assert "holds no model" in sentence(refuse("predict", other, other / "train" / "a"))
    for command in ("eval", "resume"):
        assert "config.json cannot be read" in sentence(refuse(command, tmp_path / "gone"))
        assert "config.json" in sentence(refuse(command, run / "model"))
    (run / "model" / "config.json").write_text("{}")
    assert "config.json" in sentence(refuse("eval", run))
    assert not list(run.glob("eval*"))


def test_photos_that_are_not_available(refuse: Refuse, tmp_path: Path, run: Path) -> None:
    (tmp_path / "x.txt").write_text("no image")
    assert "there is no file or folder gone.jpg" in sentence(refuse("predict", run, "gone.jpg"))
    assert "there is no file or folder gone.jpg" in sentence(refuse("show", run, "gone.jpg"))
    assert "at least 1" in sentence(refuse("predict", run, tmp_path / "x.txt", "--top", 0))
    for command, out in (("predict", "answer.csv"), ("show", "answer.png")):
        said = refuse(command, run, tmp_path / "x.txt", "--out", out)
        assert "x.txt is not a readable image" in said
        assert said.splitlines()[-1].startswith("scapnet: no photo could be read")
    refuse("predict", run, tmp_path / "x.txt", "--format", "json")


@pytest.mark.parametrize("arguments", [("--count", 0), ("--split", "val"), ("--name", "folder")])
def test_data_that_cannot_be_shown(
    arguments: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["scapnet", "data", "show", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    sentence(capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_an_undecodable_file_name_does_not_stop_the_rest(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(run.parent / "data" / "train" / "a" / "0.png", photos / "good.png")
    try:
        shutil.copy(bytes(photos / "good.png"), bytes(photos) + b"/caf\xe9.png")
    except OSError:
        pytest.skip("this file system takes text alone")
    for form, suffix in (("json", "json"), ("csv", "csv"), ("table", "txt")):
        out = tmp_path / f"a.{suffix}"
        monkeypatch.setattr(
            sys, "argv", ["scapnet", "predict", str(run), str(photos), "--format", form, "--out", str(out)]
        )
        cli.main()
        assert b"good.png" in out.read_bytes()
        assert b"caf" in out.read_bytes()


def fresh(code: str) -> str:
    """Run code in a new interpreter; what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["train", "demo", "--help"], ["predict", "--help"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    said = fresh(
        f"""
import sys
from scapnet import cli
sys.argv = ["scapnet", *{arguments}]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code
print("LOADED", sorted({{"torch", "torchvision", "timm", "accelerate", "numpy", "PIL"}} & set(sys.modules)))
"""
    )
    text, loaded = said.split("LOADED ")
    assert "scapnet" in text
    assert loaded.strip() == "[]"


def test_model_config_keeps_what_the_command_line_shows() -> None:
    assert ModelConfig().parts.keep == (3, 2, 1)
    assert "SubcommandApp" in type(cli.app()).__name__


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("train", "; continue the run with: scapnet resume RUN"),
        ("reproduce", "; repeat the command to continue"),
        ("predict", ""),
    ],
)
def test_ctrl_c_says_how_to_continue_where_a_command_can(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, hint: str
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    monkeypatch.setattr(sys, "argv", ["scapnet", command])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == f"scapnet: stopped{hint}\n"
