"""What a preset says before it starts, and which weigh the branches of the answer."""

from dataclasses import replace

import pytest

from scapnet.experiments.recipes import OURS, SMALL, recipe_of
from scapnet.experiments.rows import changed
from scapnet.presets import PRESETS, caution, get_preset, without_effect


@pytest.mark.parametrize("name", PRESETS)
def test_presets_as_printed_name_the_safer_one(name: str) -> None:
    config = get_preset(name)
    said = caution(config)
    assert (said is not None) == (name in {"paper", "dagger", "fgvc", "strong"})
    assert said is None or (f"preset {name} " in said and "preset photos is safer" in said)
    assert caution(replace(config, model=replace(config.model, network="plain"))) is None


def test_branches_are_weighed_for_photos_but_never_on_photos_that_count() -> None:
    assert {name for name in PRESETS if get_preset(name).train.pool} == {"photos", "zoom"}
    assert not any(recipe_of(data, None).train.pool for data in (*OURS, *SMALL))  # whose val photos are scored


def test_small_objects_are_learned_from_whole_images_too() -> None:
    """A gate that closes before the classes are learned must not keep all images from them."""
    assert get_preset("zoom").model.gate.unmasked == 0.5
    assert {recipe_of(data, None).model.gate.unmasked for data in SMALL} == {0.0}  # as their rows were run


@pytest.mark.parametrize(
    ("preset", "changes", "names"),
    [
        ("zoom", {"model.network": "plain", "loss.cam": 1.0}, ["--loss.cam"]),
        ("photos", {"model.network": "nts", "loss.success": 0.5, "loss.act_ramp": (0.0, 1.0)}, ["success", "act-ramp"]),
        ("photos", {"model.network": "rra", "loss.distill": 1.0}, ["--loss.distill"]),
        ("photos", {"model.parts.enabled": False, "model.relation.enabled": False, "loss.con": 1.0}, ["--loss.con"]),
        ("demo", {"model.gate.enabled": False, "loss.act": 0.1}, ["--loss.act"]),
        ("demo", {"model.network": "plain", "model.gate.grid": 8}, ["--model.gate.*"]),
    ],
)
def test_changed_settings_without_effect_are_named(preset: str, changes: dict[str, object], names: list[str]) -> None:
    said = without_effect(changed(get_preset(preset), changes))
    assert said is not None
    assert said.count("--") == len(names)
    assert all(name in said for name in names)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_preset_holds_itself_is_not_named(preset: str) -> None:
    config = get_preset(preset)
    for network in ("scapnet", "nts", "rra", "plain"):
        changes = {"model.network": network, "loss.smoothing": 0.3}  # which every loss has
        assert without_effect(changed(config, changes)) is None
    ours = {"model.network": "scapnet", "loss.success": 0.7, "loss.con": 0.3, "model.gate.hidden": 4}
    assert without_effect(changed(config, ours)) is None
