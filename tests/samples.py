"""What several test files share: small data sets in their authors' layouts, small networks and runs."""

import contextlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.io import savemat

from scapnet.build import build_model
from scapnet.calibration import thinned
from scapnet.config import (
    Config,
    DataConfig,
    GateConfig,
    LossConfig,
    ModelConfig,
    PartsConfig,
    SyntheticConfig,
    TrainConfig,
    ViewConfig,
)
from scapnet.data.images import to_tensor
from scapnet.data.inputs import Photo
from scapnet.data.photos import PhotoList
from scapnet.data.sample import FineGrained, Sample
from scapnet.data.synthetic.finches import Finches
from scapnet.engine import TorchEngine
from scapnet.experiments.rows import changed
from scapnet.metrics.coverage import Held, calibrate
from scapnet.metrics.unknowns import evidence, known_score
from scapnet.model import SCAPNet
from scapnet.network import Network, as_module
from scapnet.predict import PredictOptions, predict_stream, run_views, view_of
from scapnet.prediction import Prediction, Skipped
from scapnet.prototypes import prototypes_of
from scapnet.terminal.console import ProgressBar
from scapnet.training.loop import fit
from scapnet.training.run import Run

COLOURS = ("red", "lime", "blue", "white")
RGB = {"red": [255, 0, 0], "lime": [0, 255, 0], "blue": [0, 0, 255], "white": [255, 255, 255]}


def photo(path: Path, colour: str = "red", side: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).save(path, quality=100)
    return path


def noise(path: Path, seed: int, side: int = 8) -> Path:
    """A picture that no other seed gives; those of a side have the same size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "BMP")
    return path


def class_folders(root: Path, counts: dict[str, int]) -> Path:
    """Folders of different pictures, by the names of the folders; the same every time."""
    for name, count in counts.items():
        for i in range(count):
            noise(root / name / f"{i}.bmp", zlib.crc32(f"{name}/{i}".encode()))
    return root


def write(path: Path, lines: Iterable[str], end: str = "\n", mark: bool = False) -> Path:
    """A list with any line ends, with or without a byte-order mark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + "".join(line + end for line in lines).encode())
    return path


def seen(data: Any, index: int) -> str:
    """The name of the colour that a picture is painted in: what its label must agree with."""
    middle = data[index].image[:, 4, 4].tolist()
    return min(RGB, key=lambda name: sum(abs(a - b) for a, b in zip(RGB[name], middle, strict=True)))


def agrees(data: FineGrained | None, colours: tuple[str, ...] = COLOURS) -> bool:
    """Whether every label is that of the colour that the picture is painted in."""
    assert data is not None
    return len(data) > 0 and [seen(data, i) for i in range(len(data))] == [colours[label] for label in data.labels]


def save_mat(path: Path, **values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, values)
    return path


def cells(values: list[str]) -> Any:
    """A MATLAB column of strings."""
    column = np.empty((len(values), 1), object)
    column[:, 0] = values
    return column


def model_with(config: ModelConfig, **changes: Any) -> ModelConfig:
    """A model config with nested settings changed; two underscores stand for a dot: ``parts__keep=(1, 1)``."""
    return changed(
        Config(model=config), {f"model.{key.replace('__', '.')}": value for key, value in changes.items()}
    ).model


TINY = Config(
    "test",
    DataConfig(
        "finches",
        size=64,
        resize=72,
        rotation=10,
        workers=0,
        synthetic=SyntheticConfig(num_classes=4, train_length=12, test_length=12),
    ),
    ModelConfig("test_resnet", "none", gate=GateConfig(open=1.5), parts=PartsConfig(size=32)),
    LossConfig(act_ramp=(0.0, 1.0)),
    TrainConfig(epochs=3, stage1_epochs=1, part_start="main", batch_size=4, clip=5.0, log_every=1),
)


def own_photos(root: Path, val: bool = True, each: int = 4, **changes: Any) -> Config:
    """TINY, on a few photos of each of three classes in folders, with settings of its section ``train`` changed."""
    photos(root / "train", "abc" * each, set())
    if val:
        photos(root / "val", "abc" * 2, set())
    data = DataConfig("folder", root, size=64, resize=72, workers=0, val_fraction=0.0)
    return replace(TINY, data=data, train=replace(TINY.train, **changes))


class Killed(Exception):
    """What stands for a kill."""


def train_and_kill(config: Config, folder: Path, steps: int) -> None:
    """Begin a run and kill it after some updates of the weights."""
    run, left = Run(config, folder), iter(range(steps))

    def kill(*_: object) -> None:
        if next(left, None) is None:
            raise Killed

    run.optimizer.register_step_pre_hook(kill)
    with ProgressBar("work", quiet=True) as bar, contextlib.suppress(Killed):
        fit(run, bar)
        raise AssertionError("it was finished before it could be killed")
    torch.manual_seed(99)  # whatever the next process starts from must not matter


def fitted(run: Run) -> Run:
    """Train the remaining epochs of a run, without the scores and pictures at its end."""
    with ProgressBar("work", quiet=True) as bar:
        fit(run, bar)
    return run


def assert_the_same_run(one: Run, other: Run) -> None:
    """Two runs have equal weights, to the bit, and equal logs but for the speed."""
    assert log_of(one.folder.path) == log_of(other.folder.path)
    for models in ((one.model, other.model), (one.scored, other.scored)):
        first, second = (as_module(model).state_dict() for model in models)
        assert all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())


def log_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log, without its speed."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in lines]


BIRDS = (
    ("3", "002.Lime/a b.jpg", 2, 1, "1.0 2.0 3.0 4.0"),
    ("1", "001.Red/é.JPG", 1, 1, "0 0 8 8"),
    ("2", "001.Red/2.jpg", 1, 0, "2 0 4 8"),
    ("9", "003.Blue/9.jpg", 3, 1, "0 1 8 2"),
    ("4", "003.Blue/4.jpg", 3, 0, "0.5 1 8 2"),
)


def cub(root: Path, end: str = "\n", mark: bool = False) -> Path:
    for _, name, number, *_ in BIRDS:
        photo(root / "images" / name, COLOURS[number - 1])
    (root / "images" / "001.Red" / ".DS_Store").touch()
    lists = {
        "images.txt": [f"{key} {name}" for key, name, *_ in BIRDS],
        "image_class_labels.txt": [f"{key} {number}" for key, _, number, *_ in reversed(BIRDS)],
        "train_test_split.txt": [f"{key} {training}" for key, _, _, training, _ in BIRDS],
        "bounding_boxes.txt": [f"{key} {box}" for *_, box in BIRDS for key in [_[0]]],
        "classes.txt": ["1 001.Red", "2 002.Lime", "3 003.Blue"],
        "parts/parts.txt": ["1 back", "2 left eye"],
        "parts/part_locs.txt": ["3 1 2.0 5.0 1", "3 2 0.0 0.0 0", "2 1 4.5 1.0 1", "2 2 6.0 3.0 1"],
    }
    for name, lines in lists.items():
        write(root / name, lines, end, mark)
    return root


def grocery(root: Path, test: bool = True) -> Path:
    header = "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int)"
    write(root / "classes.csv", [header, "Pear,1,Pear,1", '"Gala, red",0,Apple,0', "Granny,2,Apple,0"], "\r\n", True)
    lists = {
        "train": ["a/1.jpg, 1, 1", "b/1.jpg, 0, 0", "b/ü 2.jpg, 2, 0"],
        "val": ["a/2.jpg, 1, 1"],
        "test": ["a/3.jpg, 2, 0"],
    }
    for split, lines in lists.items():
        if split != "test" or test:
            write(root / f"{split}.txt", lines, "\r\n")
        for line in lines:
            path, fine, _ = line.split(", ")
            photo(root / path, COLOURS[int(fine)])
    return root


NAMES = ("crow", "jay, blue", 'the "rook"', "Häher")


def make(**changes: Any) -> SCAPNet:
    torch.manual_seed(0)
    model = SCAPNet.from_config(
        model_with(ModelConfig("test_resnet", "none", parts=PartsConfig(size=32)), **changes), len(NAMES), 64
    )
    model.view, model.classes = ViewConfig(64, 72, 96), NAMES
    with torch.no_grad():
        for module in (model.gate, model.classifier, model.part_classifier):
            for parameter in module.parameters() if module is not None else ():
                parameter.mul_(3)
    return model.eval()


def calibrated() -> SCAPNet:
    """The network of `make`, calibrated on painted photos, with coarser classes."""
    model, labels = make(), torch.arange(16) % len(NAMES)
    views = [view_of(to_tensor(painted(70, 70 + i, i)), "", model.view) for i in range(16)]
    said = run_views(TorchEngine(model), views, range(16))
    assert said.features is not None
    model.prototypes, model.parents = prototypes_of(said.features[:8], labels[:8], len(NAMES)), ("a", "a", "b", "b")
    seen = said.probs, said.part_logits, said.features, model.prototypes
    found = calibrate(Held(labels, said.probs, evidence(*seen), evidence(*seen, labels)), True)
    weights = *found.weights[:2], 0.5  # the parts count, too
    known = thinned(known_score(evidence(*seen), weights).tolist())
    model.calibration = replace(found, weights=weights, known=known)
    return model


def finches(count: int) -> list[Sample]:
    """Drawn test images of 96 px."""
    data = Finches("test", 4, count, 96)
    return [data[i] for i in range(count)]


NO_MODULES: dict[str, Any] = {"gate__enabled": False, "parts__enabled": False, "relation__enabled": False}
STAGE4: dict[str, Any] = {"gate__mask": "stage4", "gate__grid": 2, "parts__keep": (3, 1)}


def leaves_unchanged(work: Callable[[SCAPNet], Any]) -> None:
    """Some work, twice on one network, gives equal results, and leaves it and the random numbers as they were."""
    model = make().train()
    model.backbone.eval()
    modes = [module.training for module in model.modules()]
    names = set(vars(model.backbone.net))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert work(model) == work(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == modes
    assert set(vars(model.backbone.net)) == names
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


Refuse = Callable[..., str]
Command = Callable[..., tuple[str, str]]


def painted(height: int, width: int, seed: int = 0) -> Image.Image:
    """A photo of noise."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def sentence(text: str) -> str:
    """The one line of text that it is."""
    assert text.startswith("scapnet: ")
    assert text.count("\n") == 1
    return text


VIEW = ViewConfig(32, 36)


def photos(root: Path, labels: str, broken: set[int]) -> PhotoList:
    """A photo for each letter, which is its class; some of them are cut off."""
    rng = np.random.default_rng(0)
    paths = []
    for i, letter in enumerate(labels):
        path = root / letter / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
        if i in broken:
            path.write_bytes(path.read_bytes()[:200])
        paths.append(path)
    return PhotoList(paths, ["abc".index(letter) for letter in labels], ("a", "b", "c"))


def net() -> Any:
    torch.manual_seed(0)
    # A hard gate that was never trained keeps everything here.
    return build_model(
        ModelConfig("test_resnet", "none", parts=PartsConfig(size=32), gate=GateConfig(mode="soft")), 3, 64
    )


def predict_photos(model: Network, photos: Iterable[Photo], **options: Any) -> Iterator[Prediction | Skipped]:
    """Predictions for photos with the options of `PredictOptions`."""
    return predict_stream(TorchEngine(model), photos, PredictOptions(**options))
