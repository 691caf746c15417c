"""What a report is made from: a run's answers, and what follows from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scapnet.checkpoint import from_pretrained, read_run
from scapnet.config import Config
from scapnet.data.record import names_of
from scapnet.data.sample import FineGrained
from scapnet.data.scored import Chosen, choose
from scapnet.engine import best_device
from scapnet.network import Network
from scapnet.report.answered import ANSWERS, Answered, answer_split, main_features_of, saved_answers
from scapnet.report.calibration import Calibration, calibration
from scapnet.report.doctor import Doctor, examine, same_pictures
from scapnet.report.measured import Figures, measured
from scapnet.report.pairs import ConfusedPair, confused_pairs, training_of
from scapnet.report.pictures import Budget
from scapnet.report.worth import Worth, worth
from scapnet.terminal.console import ProgressBar

SPLITS = {"test": "test", "val": "validation", "train": "training", "all": ""}
TRAINING = 5_000  # training photos whose features are looked at, at most


@dataclass(frozen=True)
class Photos:
    """A split and the answers to it."""

    data: FineGrained
    found: Answered
    root: Path | None  # the folder that file names are relative to

    def name(self, sample: int) -> str:
        """The file name of a photo."""
        return self.names[sample]

    @property
    def names(self) -> list[str]:
        """The file names of all photos."""
        return names_of(self.data, self.root)


@dataclass(frozen=True)
class Material:
    """What a report is made from."""

    run: Path
    config: Config
    model: Network
    chosen: Chosen
    photos: dict[str, Photos]  # by split: those that are reported, "val" for the temperature, some of "train"
    calibration: Calibration
    worth: Worth | None  # None without parts
    pairs: list[ConfusedPair]
    doctor: Doctor | None  # None for photos that the run was trained on
    measured: list[Figures]

    @property
    def found(self) -> Answered:
        """The answers that are reported."""
        return self.photos[self.chosen.split].found

    @property
    def split(self) -> str:
        """The split, as a word before "photos"; empty where photos are in none."""
        return SPLITS[self.chosen.split]


@dataclass(frozen=True)
class Request:
    """What is asked for; see `scapnet.write_report`."""

    run: Path
    config: Config
    split: str | None
    root: Path | None
    table: Path | None
    workers: int | None
    folds: tuple[Path, ...]
    say: Callable[[str], None]

    @property
    def batch_size(self) -> int:
        """Photos that go through the network at a time."""
        return max(self.config.train.batch_size, 32)


def gather(request: Request, budget: Budget) -> Material:
    """Look at a run; ``budget`` is for the pictures of its confused pairs."""
    run, config = request.run, request.config
    model = from_pretrained(run).to(best_device())
    chosen = choose(run, config.data, model.classes, request.split, request.root, request.table)
    for note in chosen.notes:
        request.say(note)
    moved = (None, None) if chosen.other is not None else (request.root, request.table)
    with ProgressBar("images") as bar:
        photos = _photos(request, model, chosen, moved, bar)
    found = photos[chosen.split].found
    held = {split: (one.data, one.found) for split, one in photos.items() if split != "train"}
    doctor = None
    if chosen.split != "train":
        train = photos.get("train")
        lists = {split: one.data for split, one in photos.items()} if chosen.other is None else {}
        same = same_pictures(lists, run, chosen.root, request.say)
        folds = answers_of_folds(request, model.classes, photos[chosen.split])
        answers = {name: one.found for name, one in folds.items()}
        doctor = examine(held, None if train is None else (train.data, train.found), same, answers)
        photos |= folds
    training = training_of(run, model, *moved)
    pairs = confused_pairs(model, chosen.data, found, chosen.split, budget, training)
    val = photos["val"].found if "val" in photos and chosen.split != "val" else None
    figures = measured(run, chosen.split, chosen.other is None)
    one = calibration(found, val)
    return Material(run, config, model, chosen, photos, one, worth(model, found), pairs, doctor, figures)


def _photos(
    request: Request, model: Network, chosen: Chosen, moved: tuple[Path | None, Path | None], bar: ProgressBar
) -> dict[str, Photos]:
    """The answers to the split, to the validation photos beside it, and the features of training photos."""
    size, workers = request.batch_size, request.workers
    bar.start(f"answers on {chosen.split}", len(chosen.data))
    found = {chosen.split: Photos(chosen.data, answer_split(model, chosen.data, size, workers, bar), chosen.root)}
    if chosen.split == "train":
        return found
    for split in ("val", "train"):
        try:
            other = choose(request.run, request.config.data, model.classes, split, *moved)
        except (ValueError, OSError):  # there is no such split, or its photos are gone
            continue
        if split in found or other.other is not None:
            continue
        if split == "train":
            answers = main_features_of(model, other.data, TRAINING, size, workers, bar)
        else:
            bar.start(f"answers on {split}", len(other.data))
            answers = answer_split(model, other.data, size, workers, bar)
        found[split] = Photos(other.data, answers, other.root)
    return found


def answers_of_folds(request: Request, classes: Sequence[str], mine: Photos) -> dict[str, Photos]:
    """The photos that runs on other folds of the data held out, and the answers that each saved, by the run's name.

    Args:
        request: has the runs.
        classes: the model's classes.
        mine: the photos that the run itself held out.

    Raises:
        ValueError: a run of other classes, without answers, or with a photo that another run held out as well.
    """
    found, seen = dict[str, Photos](), dict.fromkeys(mine.names, request.run)
    for run in request.folds:
        data = read_run(run).data
        chosen = choose(run, data, classes, None, request.root, request.table)
        answered = saved_answers(run / ANSWERS, classes, chosen.data)
        photos = Photos(chosen.data, answered, chosen.root)
        twice = next((name for name in photos.names if name in seen), None)
        if twice is not None:
            raise ValueError(
                f"{run} and {seen[twice]} both held out {twice}; give runs with other --data.fold settings"
            )
        seen |= dict.fromkeys(photos.names, run)
        number = data.fold if data.folds else len(found) + 2  # two runs of one fold were refused above
        found[f"fold {number} ({run.resolve().name})"] = photos
    return found
