"""Why photos got one class and not another.

B batch, K classes, M parts.
"""

import difflib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from scapnet.data.inputs import Photo, load_photo, photo_name
from scapnet.explain.evidence import (
    BIAS,
    NEEDED,
    WHOLE,
    Branch,
    branches_of,
    capturing,
    centred,
    main_features,
    part_embeddings,
    shares,
)
from scapnet.explain.explanation import Evidence, Explanation, PartEvidence
from scapnet.explain.neighbours import TrainingPhotos, neighbours
from scapnet.network import Network, NetworkOutput
from scapnet.predict import PhotoView, photo_boxes, run_network, view_of


def explain(
    model: Network,
    photo: Photo,
    versus: str | int | None = None,
    answer: str | int | None = None,
    training: TrainingPhotos | None = None,
) -> Explanation:
    """Why a photo got one class and not another.

    The shares of the whole picture and of the parts sum to the difference of the two classes' probabilities; see
    `scapnet.explain.evidence` for the formula.

    Args:
        model: from `scapnet.from_pretrained`, or another network of the package with its ``classes`` and ``view``.
        photo: a photo that `scapnet.predict_photo` accepts.
        versus: the class to compare with, a name or a number; by default the best one after the answer.
        answer: the class to explain; by default the network's own answer.
        training: photos of the model's run, to find the most similar ones of both classes.

    Raises:
        ValueError: the photo cannot be read, a class is unknown, or the classes are the same.
    """
    found = explain_views(model, [view_of(load_photo(photo), photo_name(photo), model.view)], versus, answer)[0]
    if training is None:
        return found
    numbers = (class_number(model.classes, name) for name in (found.answer, found.versus))
    return replace(found, neighbours=tuple(neighbours(found, training, k) for k in numbers))


def explain_views(
    model: Network,
    views: Sequence[PhotoView],
    versus: str | int | None = None,
    answer: str | int | None = None,
    index: Sequence[int] | None = None,
) -> list[Explanation]:
    """Explanations of a batch of photos; for the arguments see `explain`.

    Args:
        model, versus, answer: see `explain`.
        views: from `scapnet.predict.view_of`.
        index: sample numbers that seed random parts; by default counted from 0.
    """
    chosen = None if answer is None else class_number(model.classes, answer)
    other = None if versus is None else class_number(model.classes, versus)
    with capturing(model, NEEDED) as captured:
        output = run_network(model, views, range(len(views)) if index is None else index)
    branches = branches_of(model, output, captured)
    probs = sum((branch.weight * branch.probs() for branch in branches), torch.zeros(()))
    pairs = [_pair(row, chosen, other, model.classes, view.path) for row, view in zip(probs, views, strict=True)]
    a, b = torch.tensor(pairs).unbind(1)
    terms = [Terms(branch, a, b) for branch in branches]
    embeddings = part_embeddings(captured) if output.parts is not None else None
    features, found = main_features(captured), []
    for i, view in enumerate(views):
        parts = _parts(output, i, view, terms)
        best = model.classes[int(probs[i].argmax())]
        names = model.classes[a[i]], model.classes[b[i]]
        numbers = float(probs[i, a[i]]), float(probs[i, b[i]])
        bias = sum(term.share(i, BIAS) for term in terms)
        rows = None if embeddings is None else embeddings[i].clone()
        whole = evidence(terms, i, WHOLE)
        found.append(Explanation(view.path, *names, *numbers, best, whole, parts, bias, (), rows, features[i].clone()))
    return found


class Terms:
    """The terms of a branch for a pair of classes a, b (B,) per photo."""

    def __init__(self, branch: Branch, a: Tensor, b: Tensor) -> None:
        rows = torch.arange(len(a))
        logits = centred(branch)
        self.owners = branch.owners
        self.shares = shares(branch, a, b)  # (B, T)
        self.logits = torch.stack([logits[rows, :, a], logits[rows, :, b]], -1)  # (B, T, 2)

    def share(self, i: int, owner: int) -> float:
        """What an owner's term adds to p_a - p_b of photo i; 0 if it has no term."""
        return float(self.shares[i, self.owners.index(owner)]) if owner in self.owners else 0.0


def evidence(terms: Sequence[Terms], i: int, owner: int) -> Evidence:
    """The evidence of one owner for photo i; zeros for a part that no classifier sees."""
    for term in terms:
        if owner in term.owners:
            return Evidence(term.share(i, owner), *term.logits[i, term.owners.index(owner)].tolist())
    return Evidence(0.0, 0.0, 0.0)


def _parts(output: NetworkOutput, i: int, view: PhotoView, terms: Sequence[Terms]) -> tuple[PartEvidence, ...]:
    if output.parts is None or output.part_logits is None:
        return ()
    boxes = photo_boxes(output.parts.boxes[i], view.frame, view.height, view.width)
    found = []
    for m, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        said, scale, score = evidence(terms, i, m), int(output.parts.scales[i, m]), float(output.parts.scores[i, m])
        found.append(PartEvidence(said.share, said.answer, said.versus, (x0, y0, x1, y1), scale, score))
    return tuple(found)


def _pair(probs: Tensor, chosen: int | None, other: int | None, classes: Sequence[str], path: str) -> tuple[int, int]:
    """The class to explain and the one to compare it with, from a photo's probabilities (K,)."""
    a = int(probs.argmax()) if chosen is None else chosen
    if other is None:
        rest = probs.clone()
        rest[a] = -1
        return a, int(rest.argmax())
    if a == other:
        hint = "omit versus to compare it with the next best" if chosen is None else "name two different classes"
        raise ValueError(f"{path}: the answer is {classes[a]} itself; {hint}")
    return a, other


def class_number(classes: Sequence[str], name: str | int) -> int:
    """The number of a class, by number or name; case does not matter, nor does "-" or "_" for a space.

    Args:
        classes: K names.
        name: a number, a name, or a part of a name that fits one class.

    Raises:
        ValueError: no class or several match; the message names the nearest ones.
    """
    if isinstance(name, int):
        if not 0 <= name < len(classes):
            raise ValueError(f"there is no class {name}; the model has {len(classes)}, numbered from 0")
        return name
    if name in classes:
        return list(classes).index(name)
    plain = [_plain(one) for one in classes]
    found = [k for k, one in enumerate(plain) if one == _plain(name)]
    found = found or [k for k, one in enumerate(plain) if _plain(name) and _plain(name) in one]
    if len(found) == 1:
        return found[0]
    near = [classes[k] for k in found[:5]] or [
        classes[plain.index(one)] for one in difflib.get_close_matches(_plain(name), plain, 3, 0.5)
    ]
    if found:
        raise ValueError(f"the name {name!r} matches several classes ({', '.join(near)}); write one of them in full")
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(classes[:3])}, ..."
    raise ValueError(f"the model has no class {name!r}; {hint}")


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
