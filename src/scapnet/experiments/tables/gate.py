"""Tables VI and VII and Fig. 9: the gate alone, on the backbone."""

from scapnet.experiments.recipes import PAPER
from scapnet.experiments.rows import Changes, Row, Table, scaled
from scapnet.experiments.tables.changes import NO_PARTS, cub_air

TABLE6 = Table(
    "table6",
    "Grid units per side of the gate, backbone + gGAU",
    (
        Row("ggau-n2", "2 x 2", {**NO_PARTS, "model.gate.grid": 2, "model.parts.keep": (1, 1)}, cub_air(85.9, 90.5)),
        Row("ggau-n3", "3 x 3", {**NO_PARTS, "model.gate.grid": 3}, cub_air(86.0, 91.1)),
        Row("ggau", "4 x 4", NO_PARTS, cub_air(86.3, 91.0)),
        # On the groceries the gate masks a map of 4 x 4.
        Row("ggau-n5", "5 x 5", {**NO_PARTS, "model.gate.grid": 5}, cub_air(85.6, 90.2), only=("finches", *PAPER)),
    ),
    scores=("kept",),
    claims=(("ggau", "ggau-n2"), ("ggau", "ggau-n5")),
)
HARD = NO_PARTS
SOFT: Changes = {**NO_PARTS, "model.gate.mode": "soft"}
NO_NOISE: Changes = {"model.gate.noise": False}
NO_ACT: Changes = {"loss.act": 0.0}
TABLE7 = Table(
    "table7",
    "Soft and hard attention, Gumbel noise and L_act, backbone + gGAU",
    (
        Row("soft", "soft", {**SOFT, **NO_ACT, **NO_NOISE}, cub_air(85.4, 89.7)),
        Row("soft-gumbel", "soft, Gumbel", {**SOFT, **NO_ACT}, cub_air(85.9, 90.3)),
        Row("hard-gumbel", "hard, Gumbel", {**HARD, **NO_ACT}, cub_air(85.8, 90.4)),
        Row("ggau", "hard, Gumbel, L_act", HARD, cub_air(86.3, 91.0)),
        Row("soft-act", "soft, L_act", {**SOFT, **NO_NOISE}, note="ours"),
        Row("soft-gumbel-act", "soft, Gumbel, L_act", SOFT, note="ours"),
        Row("hard", "hard", {**HARD, **NO_ACT, **NO_NOISE}, note="ours"),
        Row("hard-act", "hard, L_act", {**HARD, **NO_NOISE}, note="ours"),
    ),
    scores=("kept", "kept_spread"),
    notes=("The settings of the paper's four rows are inferred from its text, because its table has lost the ticks.",),
    claims=(("soft-gumbel", "soft"), ("ggau", "hard-gumbel"), ("ggau", "soft-gumbel"), ("ggau", "soft")),
)
NAMES = {0.0: "hard-gumbel", 1.0: "ggau"}  # rows of Table VII
FIG9 = Table(
    "fig9",
    "Kept share against accuracy over beta, backbone + gGAU",
    tuple(
        Row(
            NAMES.get(factor, f"ggau-beta-{factor:g}"),
            f"beta x {factor:g}",
            {**NO_PARTS, "loss.act": scaled("act", factor)},
        )
        for factor in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    ),
    columns=(),
    scores=("kept",),
)
