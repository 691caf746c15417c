"""Why this class and not that one: evidence of the whole picture and of each part, which sums to the answer."""

from scapnet.explain.evidence import Branch, branches_of, capturing, shares
from scapnet.explain.explanation import Evidence, Explanation, PartEvidence
from scapnet.explain.photo import class_number, explain, explain_views

__all__ = [
    "Branch",
    "Evidence",
    "Explanation",
    "PartEvidence",
    "branches_of",
    "capturing",
    "class_number",
    "explain",
    "explain_views",
    "shares",
]
