"""Backbones: timm networks, cut where the gate sits, and their weight files."""

from scapnet.backbones.cnn import Backbone
from scapnet.backbones.factory import create
from scapnet.backbones.vit import TokenBackbone
from scapnet.backbones.weights import load_weights, network_name, read_weights

__all__ = ["Backbone", "TokenBackbone", "create", "load_weights", "network_name", "read_weights"]
