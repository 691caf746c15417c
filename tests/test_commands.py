"""The commands of the pages run one after the other as they are printed, but with a tiny network.

`tests/test_readme.py` checks that the commands of all pages parse; those of data sets that are not here stay at that.
"""

import gc
import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from samples import painted, write
from scapnet import cli
from scapnet.config import Config, DataConfig
from scapnet.probing import probe as probing

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/tutorial.md", "docs/troubleshooting.md", "docs/limits.md", "docs/predict.md"]
PAGES += ["docs/probe.md", "docs/runs.md", "docs/explain.md", "docs/data/folder.md", "docs/data/csv.md"]
DONE = {"scapnet train photos --data.root photos"}  # by the workspace
CLASSES = ("crow", "jay", "Pink Lady", "Royal Gala")
# Tested where they are made: they need a data set, minutes, or a weight file.
LEFT_OUT = r"scapnet (train (demo|paper)|export|reproduce|serve) |--data\.(name (?!csv)|folds)|--explain|mobilenetv3\."


def commands(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^scapnet [^#\n]*[^#\s]", text, re.MULTILINE)
    return [command.replace("/data/photos", "photos") for command in found if not re.search(LEFT_OUT, command)]


def shrunk(config: Config) -> Config:
    """The same run with a tiny network, small views and one epoch."""
    model, weights = config.model, config.model.weights
    return replace(
        config,
        data=replace(config.data, size=64, resize=72, source_size=None, workers=0),
        model=replace(
            model,
            backbone="test_resnet",
            weights="none" if weights in ("pretrained", "none") else weights,
            gate=replace(model.gate, mask="stage3"),
            parts=replace(model.parts, size=32),
        ),
        loss=replace(config.loss, act_ramp=(0.0, 0.0)),
        train=replace(config.train, epochs=1, stage1_epochs=0, batch_size=8, warmup_epochs=0.0),
    )


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos in all the places that the pages speak of, and a run on them."""
    folder = tmp_path_factory.mktemp("pages")
    places = {"photos": 3, "field": 2, "other": 2, "folder": 0}
    seed = 0
    for place, count in places.items():
        for name in CLASSES:
            for i in range(count):
                path = folder / place / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                painted(40, 50, seed := seed + 1).save(path)
    (folder / "folder").mkdir()
    painted(60, 50, 1000).save(folder / "folder" / "1.png")
    painted(60, 50, 1001).save(folder / "photo.jpg")
    rows = [f"{name}/{i}.png,{name}" for name in CLASSES for i in range(2)]
    for table in ("birds.csv", "field/list.csv"):
        write(folder / table, ["path,label", *rows])
    (folder / "my_photos").symlink_to("photos")
    run("scapnet train photos --data.root photos", folder)
    return folder


def run(command: str, folder: Path) -> None:
    """Run a command in a folder; runs that would be in each other's way get other names."""
    original = vars(cli)["train"]
    if " auto" in command:  # a network that has learned nothing has no threshold
        settings = folder / "runs" / "photos" / "model" / "config.json"
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {"threshold": 0.5}))
    if "--epochs" in command:
        epochs = json.loads((folder / "runs" / "photos" / "config.json").read_text())["train"]["epochs"]
        command = command.replace("--epochs 48", f"--epochs {epochs + 1}")

    def train(config: Config, out: Path | None = None) -> None:
        out = out or Path("runs") / config.preset
        if Path("runs/photos").exists():  # one run is trained; of the others data, network and folder are made
            out = next(Path(f"runs/{i}") for i in range(99) if not Path(f"runs/{i}").exists())
            patch.setattr("scapnet.training.train._run", lambda begun: begun.folder.path)
        original(shrunk(config), out)

    def probe(data: DataConfig, backbone: str, weights: str, out: Path | None, against: Sequence[Path]) -> Path:
        return whole(replace(data, size=64, resize=72, workers=0), "test_resnet", "none", out, against)

    train.__annotations__ = original.__annotations__
    with pytest.MonkeyPatch.context() as patch:
        whole = probing.probe
        patch.setattr(cli, "train", train)
        patch.setattr(probing, "probe", probe)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(gc, "collect", lambda: 0)  # a quarter of the time of a tiny run
        patch.chdir(folder)
        patch.setattr(sys, "argv", shlex.split(command))
        cli.main()


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(page: str, workspace: Path) -> None:
    found = commands(page)
    assert found
    for command in found:
        if command in DONE:
            continue
        DONE.add(command)
        try:
            run(command, workspace)
        except SystemExit as stop:
            pytest.fail(f"{command} ended with {stop.code}")
