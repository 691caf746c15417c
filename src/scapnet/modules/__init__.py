"""The three modules of the paper, and a graph convolution in place of PRM. They need only torch and torchvision.ops."""

from scapnet.modules.alternatives.gcn import PartGraph
from scapnet.modules.boxes import crop_parts
from scapnet.modules.ggau import GateOutput, GridGate, apply_mask, gate_mask
from scapnet.modules.prm import PartRelation, relation_weights
from scapnet.modules.scaps import PartSelection, PartsOutput

__all__ = [
    "GateOutput",
    "GridGate",
    "PartGraph",
    "PartRelation",
    "PartSelection",
    "PartsOutput",
    "apply_mask",
    "crop_parts",
    "gate_mask",
    "relation_weights",
]
