"""Tables VIII, IX and X: how parts are chosen, their number, and how they are related."""

from dataclasses import replace

from scapnet.experiments.recipes import OURS, PAPER
from scapnet.experiments.rows import Row, Table, keep
from scapnet.experiments.tables.changes import NO_RELATION, cub_air, full

TABLE8 = Table(
    "table8",
    "How parts are chosen",
    (
        Row(
            "random",
            "random",
            {"model.parts.strategy": "random"},
            cub_air(87.8, 91.5),
            "L_con still trains the gate's layers, but their scores are not used",
        ),
        Row(
            "con-0",
            "max score (gamma = 0)",
            {"loss.con": 0.0},
            cub_air(88.2, 92.0),
            "the paper prints 92.0 here and 91.5 for the same run in Table XII",
        ),
        replace(full, label="scale-consistent"),
    ),
    scores=("accuracy_parts", "hit_scale1", "random_scale1", "covered", "random_covered"),
    claims=(("full", "con-0"), ("con-0", "random"), ("full", "random")),
)
QUOTAS = {(1, 2, 0): 87.5, (1, 2, 1): 88.1, (2, 2, 1): 88.5, (3, 2, 1): 88.6, (4, 2, 1): 88.2}
SIX = (*PAPER, *(data for data in OURS if data != "cub100"))  # data sets whose recipes have six parts
TABLE9 = Table(
    "table9",
    "Number of parts",
    (
        *(
            Row(
                "full" if n == (3, 2, 1) else f"keep-{n[0]}{n[1]}{n[2]}",
                f"{sum(n)} parts: {n[0]}, {n[1]}, {n[2]}",
                {"model.parts.keep": keep(*n)},
                {"cub": figure},
                only=SIX if n == (3, 2, 1) else (),
            )
            for n, figure in QUOTAS.items()
        ),
        # The recipe of cub100 has three parts.
        Row("full", "3 parts: 2, 1", only=("cub100",)),
        Row("keep-321", "6 parts: 3, 2, 1", {"model.parts.keep": keep(3, 2, 1)}, only=("cub100",)),
        *(
            Row(
                f"top-{m}",
                f"the {m} best of all scales",
                {"model.parts.strategy": "top", "model.parts.total": m},
                note="ours",
            )
            for m in range(3, 8)
        ),
    ),
    columns=("cub",),
    claims=(("full", "keep-120"), ("full", "keep-421"), ("full", "top-6")),
)
TABLE10 = Table(
    "table10",
    "How parts are related",
    (
        Row("concat", "concatenate", {**NO_RELATION, "model.parts.classifier": "concat"}, cub_air(87.9, 91.6)),
        Row("ensemble", "ensemble", {**NO_RELATION, "model.parts.classifier": "each"}, cub_air(88.0, 91.6)),
        Row("gcn", "graph convolution", {"model.relation.type": "gcn"}, cub_air(87.5, 91.9)),
        Row("arm", "ARM", {"model.relation.geometry": False}, cub_air(88.4, 92.2)),
        Row("grm", "GRM", {"model.relation.appearance": False}, cub_air(88.1, 91.9)),
        replace(full, label="PRM"),
    ),
    scores=("accuracy_parts",),
    claims=(
        ("full", "arm"),
        ("arm", "grm"),
        ("full", "grm"),
        *(("full", other) for other in ("gcn", "ensemble", "concat")),
    ),
)
