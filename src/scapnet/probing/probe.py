"""`scapnet probe`: a linear classifier and nearest neighbours on a frozen backbone, as a run like any other.

n photos, K classes.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from scapnet.checkpoint import read_run
from scapnet.config import Config, DataConfig, LossConfig, ModelConfig, TrainConfig
from scapnet.data.record import read_record
from scapnet.evaluate import Evaluation
from scapnet.jsonfile import read_json, write_json
from scapnet.metrics.parts_gain import paired_gain
from scapnet.network import device_of
from scapnet.outputs import check_folder
from scapnet.probing.cached import Features, features_of
from scapnet.probing.linear import linear_probe, nearest_neighbours
from scapnet.terminal.console import ProgressBar, say
from scapnet.training.finish import finish, held_out, show
from scapnet.training.lock import run_lock
from scapnet.training.run import Run
from scapnet.training.runfolder import is_unused


def probe_config(data: DataConfig, backbone: str, weights: str = "pretrained") -> Config:
    """The settings of a probe: the plain network with a frozen backbone."""
    model = ModelConfig(backbone, weights, "plain")
    return Config("probe", data, model, LossConfig(act_ramp=(0.0, 0.0)), TrainConfig(epochs=1, freeze=-1))


def probe(
    data: DataConfig,
    backbone: str,
    weights: str = "pretrained",
    out: Path | None = None,
    against: Sequence[Path] = (),
) -> Path:
    """Fit a linear classifier on a frozen backbone's features, score it, and leave a run folder.

    The features of every photo's centre view are computed once and cached. The classifier is multinomial logistic
    regression with an L2 penalty that is chosen on folds of the training photos. The run folder has a model like any
    other, for `scapnet.Predictor`, `scapnet.evaluate` and `scapnet.write_report`.

    Args:
        data: the data set, and the size of the view.
        backbone: the name of any timm network, such as ``vit_small_patch14_dinov2.lvd142m``.
        weights: "pretrained", "none", or a file, run folder, model folder or hub id.
        out: the run folder, which must not exist; by default ``runs/probe``, numbered if that exists.
        against: folders of finished runs that were scored on the same photos, to compare with.

    Returns:
        The run folder.

    Raises:
        ValueError: unusable settings or data, or a run that was scored on other photos.
    """
    names = (f"probe-{i}" if i > 1 else "probe" for i in itertools.count(1))
    folder = out or next(path for path in map(Path("runs").joinpath, names) if not path.exists())
    if not is_unused(folder):
        raise ValueError(f"{folder} exists; choose another --out")
    check_folder(folder, "choose another --out")
    for other in against:
        read_run(other)
    run = Run(probe_config(data, backbone, weights), folder, note=say)
    with run_lock(folder, run.accelerator), ProgressBar("images", stderr=False) as bar:
        held = held_out(run)
        for other in against:
            check_same_photos(run, held.split if held else "", other)
        options = run.config.data, run.workers, bar
        train = features_of(run.model, run.data.train, "train", *options)
        found = fit_classifier(run, train)
        result, answers = finish(run, bar)
        if held is not None and answers is not None:
            asked = features_of(run.model, held.data, held.split, *options)
            found |= neighbours_score(train, asked, len(run.model.classes))
            found |= {"against": [compared(answers, other) for other in against]} if against else {}
        result |= found
        write_json(folder / "results.json", result)
    show(run, result, answers)
    for sentence in sentences(result):
        say(sentence)
    return folder


def fit_classifier(run: Run, train: Features) -> dict[str, Any]:
    """Give the run's network the best linear classifier, and end its training; what was chosen."""
    classes = len(run.model.classes)
    classifier, penalty = linear_probe(train.features, train.labels, classes)
    head = run.model.classifier
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(classifier.weight.to(device_of(run.model)))
        head.bias.copy_(classifier.bias.to(device_of(run.model)))
    run.position.epoch, run.position.step = run.config.train.epochs, 0
    run.checkpoint()
    return {"penalty": penalty, "parameters_fitted": classifier.weight.numel() + classifier.bias.numel()}


def neighbours_score(train: Features, asked: Features, classes: int) -> dict[str, Any]:
    """The accuracy of nearest neighbours on the held-out photos, and their number k."""
    found = nearest_neighbours(train.features, train.labels, asked.features, classes)
    return {"neighbours": found.k, "accuracy_neighbours": float((found.predicted == asked.labels).double().mean())}


def check_same_photos(run: Run, split: str, other: Path) -> None:
    """Check that another run was scored on the photos that this one will be scored on.

    Raises:
        ValueError: it was not, or it is not finished.
    """
    if not (other / "answers.safetensors").exists():
        raise ValueError(f"{other} has no answers to compare with; finish it with: scapnet resume {other}")
    scored = read_json(other / "results.json").get("split")
    theirs, mine = read_record(other), run.record
    same = all(
        (left := getattr(theirs, name).get(split)) is None or list(left) == list(getattr(mine, name).get(split, ()))
        for name in ("files", "labels")
    )
    if scored != split or theirs.classes != mine.classes or not same:
        raise ValueError(f"{other} was scored on other photos ({scored}), so it cannot be compared; see --data.fold")


def compared(answers: Evaluation, other: Path) -> dict[str, Any]:
    """How far a run's answers are ahead, and those of its main branch, on the photos that both could read."""
    theirs = load_file(other / "answers.safetensors")
    places = {int(sample): row for row, sample in enumerate(theirs["samples"])}
    rows = [(i, places[int(s)]) for i, s in enumerate(answers.samples) if int(s) in places]
    mine, others = (torch.tensor(column, dtype=torch.long) for column in zip(*rows, strict=True))
    target = answers.target[mine]
    here = answers.probs[mine].argmax(1) == target
    found: dict[str, Any] = {"run": other.name, "network": read_run(other).model.network, "images": len(rows)}
    for key, name in (("probs", ""), ("main", "_main")):
        if key in theirs:
            there = theirs[key][others].argmax(1) == target
            gain, half = paired_gain(int((there & ~here).sum()), int((here & ~there).sum()), len(rows))
            found |= {f"accuracy{name}": float(there.double().mean()), f"ahead{name}": gain, f"half{name}": half}
    return found


def sentences(result: dict[str, Any]) -> list[str]:
    """What a probe says beside its scores."""
    found = [f"L2 penalty {result['penalty']:g}, chosen on folds of the training photos"]
    if "neighbours" in result:
        found.append(f"{result['neighbours']} nearest neighbours: {result['accuracy_neighbours']:.1%}")
    for other in result.get("against", ()):
        parts = f"; its main branch alone {_ahead(other, '_main')}" if "ahead_main" in other else ""
        found.append(f"{other['run']} ({other['network']}): {_ahead(other, '')}{parts}")
    return found


def _ahead(other: dict[str, Any], name: str) -> str:
    gain, half = other[f"ahead{name}"], other[f"half{name}"]
    word = "ahead" if gain > half else "behind" if gain < -half else "level within chance"
    return f"{other[f'accuracy{name}']:.1%}, {100 * gain:+.1f} ± {100 * half:.1f} points against this probe ({word})"
