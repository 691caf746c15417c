"""What a preset says before it starts."""

from dataclasses import replace

import pytest

from scapnet.presets import PRESETS, caution, get_preset


@pytest.mark.parametrize("name", PRESETS)
def test_presets_as_printed_name_the_safer_one(name: str) -> None:
    config = get_preset(name)
    said = caution(config)
    assert (said is not None) == (name in {"paper", "dagger", "fgvc", "strong"})
    assert said is None or (f"preset {name} " in said and "preset photos is safer" in said)
    assert caution(replace(config, model=replace(config.model, network="plain"))) is None
