"""The three modules of the paper, usable in any network: they need torch and torchvision's ops only."""

from scapnet.modules.boxes import crop_parts
from scapnet.modules.ggau import GateOutput, GridGate, apply_mask, gate_mask
from scapnet.modules.prm import PartRelation, relation_weights
from scapnet.modules.scaps import PartSelection, PartsOutput

__all__ = [
    "GateOutput",
    "GridGate",
    "PartRelation",
    "PartSelection",
    "PartsOutput",
    "apply_mask",
    "crop_parts",
    "gate_mask",
    "relation_weights",
]
