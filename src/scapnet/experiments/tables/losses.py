"""Table XII: the weights of the losses."""

from scapnet.experiments.rows import Changes, Row, Table, scaled

WEIGHTS: tuple[tuple[str, str, Changes, float, str], ...] = (
    ("con-0", "1, 1, 0, 1", {"loss.con": 0.0}, 91.5, "the paper prints 92.0 for the same run in Table VIII"),
    ("con-0.5", "1, 1, 0.5, 1", {"loss.con": scaled("con", 0.5)}, 92.0, ""),
    ("act-0", "1, 0, 1, 1", {"loss.act": 0.0}, 91.1, ""),
    ("act-0.75", "1, 0.75, 1, 1", {"loss.act": scaled("act", 0.75)}, 91.7, ""),
    ("act-1.25", "1, 1.25, 1, 1", {"loss.act": scaled("act", 1.25)}, 92.0, ""),
    ("con-1.5", "1, 1, 1.5, 1", {"loss.con": scaled("con", 1.5)}, 92.7, ""),
    ("full", "1, 1, 1, 1", {}, 92.5, ""),
)
TABLE12 = Table(
    "table12",
    "Weights of the losses (L_cls, L_act, L_con, L_sub), relative to the recipe's",
    tuple(Row(name, label, changes, {"aircraft": figure}, note) for name, label, changes, figure, note in WEIGHTS),
    columns=("aircraft",),
    scores=("kept",),
    claims=(("con-1.5", "full"), ("full", "con-0"), ("full", "act-0")),
)
