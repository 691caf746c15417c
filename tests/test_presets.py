"""What a preset says before it starts, and which weigh the branches of the answer."""

from dataclasses import replace

import pytest

from scapnet.experiments.recipes import OURS, SMALL, recipe_of
from scapnet.presets import PRESETS, caution, get_preset


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
