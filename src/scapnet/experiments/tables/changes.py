"""Settings and rows shared by several tables. Numbers are accuracies in percent, as printed in the paper."""

from scapnet.experiments.rows import Changes, Row, two_stages

PLAIN: Changes = {"model.network": "plain"}
NO_PARTS: Changes = {"model.parts.enabled": False, "model.relation.enabled": False}
NO_RELATION: Changes = {"model.relation.enabled": False}
NO_MASK: Changes = {"model.gate.mask": "none", "loss.act": 0.0}
TWO_STAGES: Changes = {"train.stage1_epochs": two_stages}
DAGGER: Changes = {**TWO_STAGES, "model.relation.heads": 3}


def cub_air(cub: float, aircraft: float) -> dict[str, float]:
    """Numbers for the two data sets of most tables."""
    return {"cub": cub, "aircraft": aircraft}


plain = Row("plain", "backbone", PLAIN, cub_air(85.3, 89.5))
ggau = Row("ggau", "gGAU", NO_PARTS, cub_air(86.3, 91.0))
full = Row("full", "gGAU + SCAPS + PRM", paper=cub_air(88.6, 92.5))
