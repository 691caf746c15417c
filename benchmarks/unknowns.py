"""How well photos of classes that were withheld from training are told from photos of the others.

    python benchmarks/unknowns.py split PHOTOS OUT --first 0 --classes 50 --fifth 4    # to OUT/known and OUT/withheld
    scapnet train photos --data.root OUT/known ... --out RUN
    python benchmarks/unknowns.py score results/unknowns RUN OUT/withheld [RUN OUT/withheld ...]

Known photos are those of the run's test split. The score is `known_score`; beside it stand the maximum softmax, the
same of each branch alone, the largest logit, and the distance to the k-th nearest training photo by all features, for
the k that is best for it.

n photos, K classes, D feature size.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scapnet.calibration import Prototypes
from scapnet.checkpoint import from_pretrained, read_run
from scapnet.data.files import Listing
from scapnet.data.scored import choose
from scapnet.data.sources import expand
from scapnet.experiments.environment import environment
from scapnet.explain.evidence import NEEDED, capturing, main_features
from scapnet.metrics.coverage import Held, calibrate, calibrated_scores
from scapnet.metrics.unknowns import auroc, evidence, false_positive_rate, knn_score, known_score, max_softmax
from scapnet.network import Network
from scapnet.predict import read_view, run_network
from scapnet.prediction import Skipped
from scapnet.prototypes import look_at_training

NEIGHBOURS = (1, 5, 10, 50)
Seen = dict[str, Tensor]  # "logits" (n, K), "part_logits" (n, M, K), "probs" (n, K), "features" (n, D)


def split(photos: Path, out: Path, first: int, classes: int, fifth: int) -> None:
    """Link the photos of class folders: every fifth class withheld, two photos of seven for val, one for test."""
    folders = sorted(path for path in photos.iterdir() if path.is_dir())[first : first + classes]
    for k, folder in enumerate(folders):
        for i, file in enumerate(sorted(folder.iterdir())):
            name = {3: "val", 5: "val", 6: "test"}.get(i % 7, "train")
            place = out / "withheld" / folder.name if k % 5 == fifth else out / "known" / name / folder.name
            place.mkdir(parents=True, exist_ok=True)
            (place / file.name).symlink_to(file.resolve())


def look(model: Network, files: Sequence[Path]) -> Seen:
    """What a network says of photos."""
    rows: list[Seen] = []
    for start in range(0, len(files), 16):
        read = [read_view(file, model.view) for file in files[start : start + 16]]
        views = [view for view in read if not isinstance(view, Skipped)]
        with capturing(model, NEEDED) as captured:
            output = run_network(model, views, range(len(views)))
        seen = {"logits": output.logits, "probs": output.probs, "features": main_features(captured)}
        rows.append(seen | ({"part_logits": output.part_logits} if output.part_logits is not None else {}))
    return {key: torch.cat([row[key] for row in rows]).cpu() for key in rows[0]}


def held_of(seen: Seen, labels: Tensor, prototypes: Prototypes | None) -> Held:
    """What a calibration is made of."""
    parts = seen["probs"], seen.get("part_logits"), seen["features"], prototypes
    return Held(labels, seen["probs"], evidence(*parts), evidence(*parts, labels))


def scores(seen: Seen, training: Tensor, prototypes: Prototypes | None, weights: Sequence[float]) -> dict[str, Tensor]:
    """Scores (n,) by name, each higher for photos that look more familiar."""
    parts = seen.get("part_logits")
    both = evidence(seen["probs"], parts, seen["features"], prototypes)
    found = {"known score": known_score(both, weights), "maximum softmax": max_softmax(seen["probs"])}
    names = "ratio of Mahalanobis distances", "nearest of 20 a class, 128 directions", "agreement of the parts"
    found |= {f"its evidence: {name}": both[:, i] for i, name in enumerate(names)}
    found["maximum softmax, main branch"] = max_softmax(seen["logits"].double().softmax(1))
    found["largest logit, main branch"] = seen["logits"].double().max(1).values
    if parts is not None:
        found["maximum softmax, parts"] = max_softmax(parts.double().mean(1).softmax(1))
    return found | {f"nearest neighbour, k = {k}": knn_score(seen["features"], training, k) for k in NEIGHBOURS}


def rows_of(known: dict[str, Tensor], unknown: dict[str, Tensor]) -> Iterator[tuple[str, float, float]]:
    """Name, AUROC and FPR95 of each score; of the nearest neighbours the best k alone."""
    pairs = {name: (values, unknown[name]) for name, values in known.items()}
    found = [(name, auroc(*pair), false_positive_rate(*pair)) for name, pair in pairs.items()]
    nearest = [row for row in found if row[0].startswith("nearest")]
    yield from (row for row in found if row not in nearest)
    yield max(nearest, key=lambda row: row[1])


def interval(known: Tensor, unknown: Tensor, other: tuple[Tensor, Tensor], times: int = 1000) -> tuple[float, float]:
    """95% of the differences in AUROC to another score, over photos drawn again (bootstrap)."""
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(times):
        a = torch.randint(len(known), (len(known),), generator=generator)
        b = torch.randint(len(unknown), (len(unknown),), generator=generator)
        found.append(auroc(known[a], unknown[b]) - auroc(other[0][a], other[1][b]))
    low, high = torch.tensor(found).quantile(torch.tensor([0.025, 0.975])).tolist()
    return low, high


def score(run: Path, withheld: Path) -> dict[str, Any]:
    """The figures of a run."""
    model, config = from_pretrained(run), read_run(run)
    chosen = {name: choose(run, config.data, model.classes, name, None, None).data for name in ("train", "val", "test")}
    seen = {name: look(model, data.paths) for name, data in chosen.items()}  # type: ignore[attr-defined]
    seen["withheld"] = look(model, list(expand([withheld], Listing())))
    labels = {name: torch.tensor(data.labels) for name, data in chosen.items()}
    prototypes = look_at_training(model, chosen["train"])
    val, test = (held_of(seen[name], labels[name], prototypes) for name in ("val", "test"))
    calibration = calibrate(val)
    known = seen["train"]["features"], prototypes, calibration.weights
    both = {name: scores(seen[name], *known) for name in ("test", "withheld")}
    rows = list(rows_of(both["test"], both["withheld"]))
    print("\n".join(f"| {name} | {100 * a:.1f} | {100 * f:.1f} |" for name, a, f in rows))
    rivals = [name for name, *_ in rows if name in ("maximum softmax", rows[-1][0])]
    pairs = {name: (both["test"][name], both["withheld"][name]) for name in ("known score", *rivals)}
    ahead = {name: interval(*pairs["known score"], pairs[name]) for name in rivals}
    figures = {f"{rate:g}": calibrated_scores(test, calibration, (), rate) for rate in (0.05, 0.1, 0.2)}
    ranks = [calibration.known_rank(one) for one in both["withheld"]["known score"].tolist()]
    found = {rate: sum(rank <= rate for rank in ranks) / len(ranks) for rate in (0.05, 0.1, 0.2)}
    alarms = [calibration.known_rank(one) for one in both["test"]["known score"].tolist()]
    false = {rate: sum(rank <= rate for rank in alarms) / len(alarms) for rate in found}
    counts = {name: len(one["probs"]) for name, one in seen.items()}
    accuracy = float((seen["test"]["probs"].argmax(1) == labels["test"]).double().mean())
    values = {"withheld": sorted(folder.name for folder in withheld.iterdir()), "accuracy": accuracy, "photos": counts}
    values |= {"classes": len(model.classes), "weights": calibration.weights, "rows": rows, "ahead": ahead}
    return values | {"sets": figures, "found": found, "false_alarms": false}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="what", required=True)
    one = commands.add_parser("split")
    one.add_argument("photos", type=Path)
    one.add_argument("out", type=Path)
    one.add_argument("--first", type=int, default=0)
    one.add_argument("--classes", type=int, default=1_000_000)
    one.add_argument("--fifth", type=int, default=4)
    two = commands.add_parser("score")
    two.add_argument("out", type=Path)
    two.add_argument("pairs", type=Path, nargs="+")
    options = parser.parse_args()
    if options.what == "split":
        split(options.photos, options.out, options.first, options.classes, options.fifth)
    else:
        pairs = zip(options.pairs[::2], options.pairs[1::2], strict=True)
        values: dict[str, Any] = {**environment(f"python benchmarks/unknowns.py score {options.out} RUN WITHHELD ...")}
        values["runs"] = [score(*pair) for pair in pairs]
        options.out.with_suffix(".json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
