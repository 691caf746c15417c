"""Backbones: timm networks, cut where the gate sits, and their weight files."""

from scapnet.backbones.cnn import Backbone, create
from scapnet.backbones.weights import load_weights, network_name, read_weights

__all__ = ["Backbone", "create", "load_weights", "network_name", "read_weights"]
