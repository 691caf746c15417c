"""Model folders and runs of format 1, made before the settings were nested, load and give the same answers."""

import json
from pathlib import Path

import pytest
import torch

from scapnet.checkpoint import from_pretrained, read_run
from scapnet.config import Config, ModelConfig
from scapnet.serialization import from_dict, to_dict

FOLDER = Path(__file__).parent / "fixtures" / "format1"


def pictures(count: int, size: int) -> torch.Tensor:
    n, c, y, x = torch.meshgrid(*(torch.arange(k, dtype=torch.float64) for k in (count, 3, size, size)), indexing="ij")
    return ((0.05 * (n + 1) * x + 0.11 * (c + 1) * y).sin() + (0.002 * (n + 1) * x * y).cos()).float()


def test_a_model_gives_the_answers_that_it_gave() -> None:
    expected = json.loads((FOLDER / "expected.json").read_text())
    model = from_pretrained(FOLDER)
    assert list(model.classes) == expected["classes"]
    with torch.no_grad():
        output = model(pictures(expected["images"], expected["size"]))
    torch.testing.assert_close(output.probs, torch.tensor(expected["probs"]), rtol=0, atol=2e-6)
    torch.testing.assert_close(output.parts.boxes, torch.tensor(expected["boxes"]), rtol=0, atol=0)
    torch.testing.assert_close(output.parts.scores, torch.tensor(expected["scores"]), rtol=0, atol=2e-6)
    assert output.parts.scales.tolist() == expected["scales"]
    assert output.gate.mask.tolist() == expected["mask"]


@pytest.mark.parametrize("name", ["run-config.json", "run-config-nts.json", "run-config-rra.json"])
def test_every_setting_of_a_run_has_its_value(tmp_path: Path, name: str) -> None:
    old = json.loads((FOLDER / name).read_text())
    (tmp_path / "config.json").write_text((FOLDER / name).read_text())
    config = read_run(tmp_path)
    new = to_dict(config)
    for section in ("data", "model"):
        renamed = type(getattr(config, section)).RENAMED
        for key, value in old[section].items():
            place = new[section]
            for step in renamed.get(key, key).split("."):
                place = place[step]
            assert json.loads(json.dumps(place)) == value, (section, key)
    assert {section: json.loads(json.dumps(new[section])) for section in ("loss", "train")} == {
        section: json.loads(json.dumps(new[section])) | old[section] for section in ("loss", "train")
    }
    assert from_dict(Config, json.loads(json.dumps(new))) == config


def test_a_section_and_old_settings_of_it_go_together() -> None:
    assert from_dict(ModelConfig, {"gate": {"grid": 3}, "mask": "none"}) == from_dict(
        ModelConfig, {"gate": {"grid": 3, "mask": "none"}}
    )
    assert not from_dict(ModelConfig, {"gate": False, "parts": False, "relation": False}).gate.enabled
    with pytest.raises(ValueError, match="GateConfig has no setting colour"):
        from_dict(ModelConfig, {"gate": {"colour": 1}})
