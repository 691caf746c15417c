"""Settings from JSON: every value is of the type of its setting, or is named."""

import json
from typing import Any

import pytest

from samples import TINY
from scapnet.calibration import Calibration
from scapnet.config import Config, DataConfig, ViewConfig
from scapnet.presets import PRESETS
from scapnet.serialization import from_dict, to_dict
from scapnet.training.runfolder import Position


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_comes_back(name: str) -> None:
    config = PRESETS[name]()
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("cls", "values", "words"),
    [
        (
            ViewConfig,
            {"mean": [0.5] * 100},
            r"ViewConfig.mean is \[0.5, .*\.\.\. instead of tuple\[float, float, float\]",
        ),
        (ViewConfig, {"mean": [[], 0.5, 0.5]}, "mean"),
        (ViewConfig, {"std": [0.5, 0.5, float("nan")]}, "std"),
        (ViewConfig, {"std": [0.5, 0.5, 0]}, "cannot be divided"),
        (ViewConfig, {"size": "64"}, "ViewConfig.size is '64' instead of int"),
        (ViewConfig, {"size": True}, "size"),
        (ViewConfig, {"fit": 3}, "fit"),
        (ViewConfig, {"fit": "cut"}, "use one of crop, pad, squash"),
        (DataConfig, {"root": 3}, "root"),
        (Config, {"model": 3}, "ModelConfig is 3 instead of its settings"),
        (Config, {"preset": None}, "preset"),
        (Position, {"epoch": 1.5}, "epoch"),
        (Position, {"broken": [1, "a"]}, "broken"),
        (Calibration, [], "Calibration is"),
    ],
)
def test_values_of_other_types_are_named(cls: type[Any], values: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_dict(cls, values)


def test_whole_numbers_stand_for_numbers_with_a_point() -> None:
    values = to_dict(TINY)
    values["train"]["lr"], values["data"]["root"] = 1, None
    assert from_dict(Config, values).train.lr == 1
