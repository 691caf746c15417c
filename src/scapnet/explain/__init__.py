"""Why one class and not another: the evidence of the whole picture and of each part, which sums to the answer."""

from scapnet.explain.evidence import Branch, branches_of, capturing, shares
from scapnet.explain.explanation import Evidence, Explanation, Neighbour, Neighbours, PartEvidence, PartNeighbour
from scapnet.explain.neighbours import TrainingPhotos, neighbours
from scapnet.explain.pair import ClassOfPair, PairExplanation, PhotoOfPair, explain_pair, explain_pair_of_run
from scapnet.explain.pairpicture import draw_pair
from scapnet.explain.photo import class_number, explain, explain_views
from scapnet.explain.picture import draw_evidence, draw_explanation

__all__ = [
    "Branch",
    "ClassOfPair",
    "Evidence",
    "Explanation",
    "Neighbour",
    "Neighbours",
    "PairExplanation",
    "PartEvidence",
    "PartNeighbour",
    "PhotoOfPair",
    "TrainingPhotos",
    "branches_of",
    "capturing",
    "class_number",
    "draw_evidence",
    "draw_explanation",
    "draw_pair",
    "explain",
    "explain_pair",
    "explain_pair_of_run",
    "explain_views",
    "neighbours",
    "shares",
]
