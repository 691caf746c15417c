"""Exact scores of a model on a split, on one process or several.

B batch, K classes, R marks, n samples.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from scapnet.backbones.weights import model_folder
from scapnet.calibration import Calibration
from scapnet.checkpoint import from_pretrained, keep_calibration, read_run
from scapnet.data.loaders import default_workers, eval_loader
from scapnet.data.record import names_of
from scapnet.data.sample import FineGrained, class_parents, mark_names
from scapnet.data.scored import choose
from scapnet.data.transforms import Views
from scapnet.decision import Rules
from scapnet.devices import make_accelerator
from scapnet.engine import ENGINES, captured_features, check_engine
from scapnet.engine.scored import ScoredEngine
from scapnet.jsonfile import write_json
from scapnet.masking import answer_from_open_pixels, check_mask_pixels
from scapnet.metrics.batch import averaged, kept_rows, masked_columns
from scapnet.metrics.coverage import ERROR_RATE, Held, calibrate, calibrated_scores
from scapnet.metrics.following import follow_columns
from scapnet.metrics.gate import intraclass_correlation
from scapnet.metrics.localization import coverage_by_mark
from scapnet.metrics.per_class import mean_per_class
from scapnet.metrics.skipping import PartsFor, can_skip, parts_cost, sure_of, sure_threshold
from scapnet.network import Network
from scapnet.outputs import check_folder
from scapnet.prototypes import prototypes_of_run
from scapnet.summary import write_tables
from scapnet.tensorfile import save_tensors
from scapnet.unknown import digest_of, measured_before, unknown_scores

ANSWERS = ("target", "probs", "samples", "main", "parts")  # what answers.safetensors holds
MOVED = 200  # images that are also shown mirrored and shifted


class Evaluation(NamedTuple):
    """Scores, and the answers behind them: one row per readable sample, in order of its index."""

    scores: dict[str, float]
    target: Tensor  # (n,)
    probs: Tensor  # (n, K) the final answer
    samples: Tensor  # (n,) their indices
    marks: dict[str, dict[str, float]]  # by mark name, if the data has marks: see `coverage_by_mark`
    shown: Tensor  # (n, 3) `scapnet.metrics.unknowns.evidence` of being known
    hidden: Tensor  # (n, 3) the same with the true class of each sample hidden
    main: Tensor | None = None  # (n, K) the main branch's answer, if all photos have parts
    parts: Tensor | None = None  # (n, K) the answer of the parts, likewise

    @property
    def held(self) -> Held:
        """What a calibration is made of."""
        return Held(self.target, self.probs, self.shown, self.hidden)

    def calibrated(self, calibration: Calibration | None, parents: Sequence[str], error_rate: float) -> "Evaluation":
        """The same with the figures of `calibrated_scores`."""
        return self._replace(scores=self.scores | calibrated_scores(self.held, calibration, parents, error_rate))

    def figures(self) -> dict[str, Any]:
        """The content of a result file."""
        return self.scores | ({"marks": self.marks} if self.marks else {})

    def sure(self, model: Network) -> float | None:
        """The model's threshold for skipping parts, see `sure_threshold`; None for a network that cannot skip them."""
        if self.main is None or not can_skip(model):
            return None
        return sure_threshold(self.target, self.main, self.probs, share=parts_cost(model).affordable())

    def save(self, path: Path, classes: Sequence[str]) -> None:
        """Write target, probs, samples and, if any, main and parts as safetensors, with the K classes."""
        kept = {name: tensor for name in ANSWERS if (tensor := getattr(self, name)) is not None}
        save_tensors(kept, path, {"classes": json.dumps(list(classes), ensure_ascii=False)})


@torch.no_grad()
def evaluate_model(
    model: nn.Module,
    loader: DataLoader[Views],
    accelerator: Accelerator,
    tta: bool = False,
    sure: float | None = None,
    before: Callable[[], None] | None = None,
    mask_pixels: bool = False,
) -> Evaluation:
    """Run a model over a prepared loader; every sample counts exactly once on any number of processes.

    Args:
        model: a (prepared) network.
        loader: a prepared loader of `EvalViews`.
        accelerator: the one that prepared them.
        tta: score the mean of the answers for the view and for its mirror image; see `averaged`.
        sure: photos whose main branch is this sure skip their parts; see `SCAPNet.forward`.
        before: called before each batch; may end the work with an error.
        mask_pixels: also score `answer_from_open_pixels`, as "masked_pixels_accuracy" etc.; not with ``tta``, ``sure``.

    Returns:
        Mean scores in [0, 1]: the accuracy of both branches together, of the main branch and of the parts; the mean of
        the classes' accuracies "mean_per_class"; the kept share of the grid, the `intraclass_correlation` of its masks,
        and `following` on MOVED images or slightly more; if the data has marks, the `hit_rates` and the share of an
        image's marks that a part covers; if it has boxes, `gate_overlap`; and two counts, the "images" scored and the
        "unreadable" ones left out.

    Raises:
        ValueError: no image of the split can be read.
    """
    model.eval()
    whole = accelerator.unwrap_model(model)
    inner: Network = getattr(whole, "module", whole)  # of a moving average of the weights
    rows, count = list[dict[str, Tensor]](), len(loader.dataset)  # type: ignore[arg-type]
    options = {} if sure is None else {"sure": sure}  # other networks do not know it
    for batch in loader:
        if before is not None:
            before()
        given = batch["image"], batch.get("source"), batch["index"]
        with captured_features(inner) as features:
            output = model(*given, **options)
        if tta:
            mirrored = {key: batch[key].flip(-1) for key in ("image", "source") if key in batch}
            output = averaged(output, model(mirrored["image"], mirrored.get("source"), batch["index"], **options))
        row = kept_rows(output, batch, features[0], inner.prototypes)
        if output.gate is not None and sure is None:
            row |= follow_columns(model, output, batch, max(1, count // MOVED))
        if mask_pixels:
            row |= masked_columns(answer_from_open_pixels(model, *given, output), output, batch["target"])
        rows.append({key: value.cpu() for key, value in accelerator.gather_for_metrics(row).items()})
    table = {key: torch.cat([row[key] for row in rows]) for key in rows[0]}
    broken = table.pop("broken")
    if broken.all():
        raise ValueError(f"none of the {len(broken)} images of the split can be read; look at its files")
    # In the order of the samples: a sum of floats depends on it, and the number of processes must not matter.
    order = table["index"].argsort()
    table = {key: value[order[~broken[order]]] for key, value in table.items()}
    samples, target, probs = (table.pop(key) for key in ("index", "target", "probs"))
    branches = table.pop("main", None), table.pop("parts", None)
    both = table.pop("shown"), table.pop("hidden")
    marks = coverage_by_mark(table.pop("marks"), mark_names(loader.dataset)) if "marks" in table else {}
    table |= {"gate_by_place": intraclass_correlation(table.pop("masks"))} if "masks" in table else {}
    scores = {key: float(value.nanmean()) for key, value in table.items() if not value.isnan().all()}
    scores["mean_per_class"] = mean_per_class(target, probs.argmax(1))
    counts = {"images": float(len(samples)), "unreadable": float(broken.sum())}
    return Evaluation(scores | counts, target, probs, samples, marks, *both, *branches)


class RunScore(NamedTuple):
    """The scores of a run."""

    result: dict[str, Any]  # the content of ``eval-SPLIT.json``
    found: Evaluation
    classes: tuple[str, ...]
    model: Network  # on the device that it was scored on
    data: FineGrained
    stem: Path  # how the names of the files begin: RUN/eval-SPLIT


def score_run(
    run: Path,
    split: str | None = None,
    root: Path | None = None,
    best: bool = False,
    table: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    tta: bool = False,
    parts_for: PartsFor = "all",
    error_rate: float = ERROR_RATE,
    unknown: Path | None = None,
    workers: int | None = None,
    engine: str = "torch",
    mask_pixels: bool = False,
) -> RunScore:
    """Score a run's model and write the scores into its folder.

    The files are ``eval-SPLIT.json``, ``eval-SPLIT-classes.csv`` and ``eval-SPLIT-photos.csv``; ``eval-best-SPLIT`` for
    the best model, ``eval-tta-SPLIT`` with test-time augmentation, ``eval-parts-unsure-SPLIT`` if not all parts are
    looked at, ``eval-ENGINE-SPLIT`` for an engine other than torch, and ``eval-of-FOLDER`` for photos that are not the
    run's own. Without ``unknown``, figures on unknown photos in the file that is replaced are kept, if they are of the
    same weights and photos.

    Args:
        run, split, root, best, table, tta, parts_for, error_rate: see `evaluate`.
        say: receives sentences on what will be scored.
        workers: number of loader processes; by default chosen by the number of cores.
        unknown: a folder of photos of none of the classes, for `scapnet.unknown.unknown_scores`.
        engine: what answers; see `scapnet.Predictor`. All but torch are scored on their answers alone: not on where the
            gate and the parts are.
        mask_pixels: see `evaluate`.

    Raises:
        ValueError: not a run folder, no such data or split, data that has changed since the run began, no threshold, or
            no such engine, or one that cannot skip parts.
    """
    check_engine(engine)
    if engine != "torch" and (parts_for != "all" or unknown is not None or mask_pixels):
        what = "all parts, no unknown photos and no masked pixels"
        raise ValueError(f"the engine {engine} is scored with {what}; use torch for those")
    config = read_run(run)
    if unknown is not None and not unknown.is_dir():
        raise ValueError(f"there is no folder {unknown} of photos of other things")
    Rules(error_rate=error_rate)
    if best and not (run / "best").is_dir():
        raise ValueError(f"{run} has no best model, because it held out no validation photos; leave out --best")
    check_folder(run)
    model = from_pretrained(run / "best" if best else run)
    sure = sure_of(model, parts_for)
    if mask_pixels:
        check_mask_pixels(model, tta, parts_for != "all")
    chosen = choose(run, config.data, model.classes, split, root, table)
    accelerator = make_accelerator(mixed_precision=config.train.precision)
    for note in chosen.notes if accelerator.is_main_process else ():
        say(note)
    workers = default_workers(accelerator.num_processes) if workers is None else workers
    loader = eval_loader(chosen.data, model.view, max(config.train.batch_size, 32), workers)
    net, prepared = accelerator.prepare(model, loader)
    if engine != "torch":
        net = ScoredEngine(ENGINES[engine](model_folder(run / "best" if best else run), None), model.prototypes)
    # What a model is calibrated on.
    own = chosen.split == "val" and chosen.other is None and parts_for == "all" and engine == "torch"
    if own and not tta and model.prototypes is None:  # of an earlier version, or the best one
        model.prototypes = prototypes_of_run(run, config.data, model, root, table, workers)
    found = evaluate_model(net, prepared, accelerator, tta, sure, mask_pixels=mask_pixels)
    if own and not tta and accelerator.is_main_process:
        model.calibration = calibrate(found.held, model.prototypes is not None)
        keep_calibration(model, run / "best" if best else run, class_parents(chosen.data))
    if own or (model.calibration is not None and parts_for == "all"):
        found = found.calibrated(None if own else model.calibration, model.parents, error_rate)
    weights = digest_of(run / "best" if best else run)
    if unknown is not None and accelerator.is_main_process:
        found.scores.update(unknown_scores(model, unknown, found.held, say))
    result = {"preset": config.preset, "split": chosen.split, "model": "best" if best else "last"} | found.figures()
    result |= ({"tta": True} if tta else {}) | ({"engine": engine} if engine != "torch" else {})
    if sure is not None:
        result |= {"sure": sure, "cost": parts_cost(model).average(found.scores["looked"])}
    if chosen.other is not None:
        result["root"] = str(chosen.other)
    if chosen.left_out:
        result["trained_on_left_out"] = chosen.left_out
    if unknown is not None:
        result["unknown_weights"] = weights
    some = "" if sure is None else f"parts-{parts_for}-"
    some += "" if engine == "torch" else f"{engine}-"
    stem = f"eval-{'best-' if best else ''}{'tta-' if tta else ''}{some}{chosen.label}"
    if accelerator.is_main_process:
        if unknown is None:
            result |= measured_before(run / f"{stem}.json", result, weights, say)
        write_json(run / f"{stem}.json", result)
        names = names_of(chosen.data, chosen.root)
        write_tables(run, stem, found.target, found.probs, found.samples, model.classes, names)
    return RunScore(result, found, model.classes, model, chosen.data, run / stem)


def evaluate(
    run: Path | str,
    split: str | None = None,
    root: Path | None = None,
    best: bool = False,
    table: Path | None = None,
    tta: bool = False,
    parts_for: PartsFor = "all",
    error_rate: float = ERROR_RATE,
    unknown: Path | None = None,
    engine: str = "torch",
    mask_pixels: bool = False,
) -> dict[str, Any]:
    """Score a run's model on a split of its data or on other labelled photos.

    Args:
        run: the run folder.
        split: "test", "val" or "train"; by default test, or val if there is no test.
        root: the data's folder now if it has moved, or a folder of other photos with some of the model's classes.
        best: score the model that was best on the validation split instead of the last epoch's.
        table: like ``root``, for a table of photos.
        tta: average the answers with those for the mirrored photos.
        parts_for: look at the parts of "all" photos, of "none", of the "unsure" ones only (by the model's own
            threshold), or of those whose main branch is less sure than a probability.
        error_rate: of the prediction sets that are scored.
        unknown: a folder of photos of none of the classes.
        engine: what answers; see `score_run`.
        mask_pixels: also score the answers from the pixels of open units alone; see `scapnet.masking`.

    Returns:
        Scores in [0, 1] by name (``accuracy``, ``mean_per_class``, ``accuracy_main``, ``accuracy_parts``, ...), counts
        of ``images`` and ``unreadable`` ones, and what was scored; if not all parts are looked at, the share of photos
        whose parts are, ``looked``, and the mean ``cost`` in multiply-adds relative to looking at all. The files listed
        at `score_run` are written too.

    Raises:
        ValueError: not a run folder, no such data or split, or data that has changed since the run began.
    """
    options = tta, parts_for, error_rate, unknown, None, engine, mask_pixels
    return score_run(Path(run), split, root, best, table, lambda _: None, *options).result
