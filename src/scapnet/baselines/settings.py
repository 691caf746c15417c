"""What the networks of other papers ask of a config."""

from scapnet.config import ModelConfig


def check_parts(config: ModelConfig, title: str) -> None:
    """Refuse a config that a network made of parts cannot keep.

    Raises:
        ValueError: parts are disabled, or have classifiers that belong to SCAPNet.
    """
    if not config.parts.enabled:
        raise ValueError(f"{title} needs parts; enable them, or use --model.network scapnet or plain")
    if config.parts.classifier != "shared":
        raise ValueError(f"{title} has its own classifiers; leave parts.classifier at shared")
