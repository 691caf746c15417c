"""Whether two configs describe the same run: a comparison without the settings that cannot change the result."""

from pathlib import Path
from typing import Any

from scapnet.build import sections
from scapnet.config import Config
from scapnet.serialization import to_dict

# These determine where and how fast a run is made, but not its result.
PLACE = ("root", "workers", "download")
PACE = ("precision", "grad_checkpointing", "log_every", "checkpoint_steps", "tracker")


def deciding_settings(config: Config) -> dict[str, Any]:
    """The settings that determine a run's result, the same on every machine.

    Settings of modules that the network does not have are left out; a network without any module is the plain backbone.
    """
    values: dict[str, Any] = to_dict(config)
    for section, names in (("data", PLACE), ("train", PACE)):
        values[section] = {key: value for key, value in values[section].items() if key not in names}
    model, used = values["model"], sections(config.model)
    model["weights"] = Path(config.model.weights).name
    unused: tuple[str, ...] = ()
    if "relation" not in used:
        del model["relation"]
    if "parts" not in used:
        del model["parts"], values["train"]["stage1_epochs"], values["train"]["part_start"]
        unused = ("con", "sub", "distill", "success", "cam")
    if not used & {"gate", "parts"}:  # the grid of the parts is the gate's
        del model["gate"], model["network"]
        unused += ("act", "act_ramp")
    if "distill" in unused or not config.loss.distill:
        unused += ("distill_tau",)
    values["loss"] = {key: value for key, value in values["loss"].items() if key not in unused}
    values.pop("preset")
    return values


def same_settings(one: Config, other: Config) -> bool:
    """Whether two configs determine the same result."""
    return deciding_settings(one) == deciding_settings(other)
