"""Checks of a config that are shared by the networks of other papers."""

from scapnet.config import ModelConfig


def check_parts(config: ModelConfig, title: str) -> None:
    """Check the parts section of a config for a network that always has parts.

    Raises:
        ValueError: parts are disabled, or the part classifier is one that only SCAPNet supports.
    """
    if not config.parts.enabled:
        raise ValueError(f"{title} needs parts; enable them, or use --model.network scapnet or plain")
    if config.parts.classifier != "shared":
        raise ValueError(f"{title} has its own classifiers; set parts.classifier to shared")
