"""The rows of the frontier: as many pixels in training, whatever the size of the view."""

import pytest

from scapnet.experiments.identity import same_settings
from scapnet.experiments.recipes import OURS, SMALL, recipe_of, with_seed
from scapnet.experiments.tables import TABLES
from scapnet.experiments.tables.frontier import AVERAGED, CURVE, FRONTIER
from scapnet.training.schedule import work_of


@pytest.mark.parametrize("data", [*OURS, *SMALL])
def test_all_rows_are_trained_on_as_many_pixels(data: str) -> None:
    base = with_seed(recipe_of(data, None), 0)
    for row in (row for row in FRONTIER.rows if row.name in (*CURVE, "full")):
        config = row.config(base)
        epoch = (config.data.size / base.data.size) ** 2  # pixels of the main branch's view
        pixels = epoch * sum(work_of(config, n) for n in range(config.train.epochs))
        wanted = sum(work_of(base, n) for n in range(base.train.epochs))
        assert wanted <= pixels < wanted + epoch
        assert config.data.resize / config.data.size == base.data.resize / base.data.size
    rows = [row for row in FRONTIER.rows if row.applies_to(data)]
    light = {96} if data in SMALL else set[int]()
    assert {row.config(base).data.size for row in rows} == {128, 160, 192, 224, 288} | light


@pytest.mark.parametrize("data", SMALL)
def test_the_light_row_is_trained_on_no_more_pixels_than_the_backbones(data: str) -> None:
    base = with_seed(recipe_of(data, None), 0)
    (light,) = (row.config(base) for row in FRONTIER.rows if row.name == "light" and row.applies_to(data))
    pixels = (96 / 128) ** 2 * sum(work_of(light, n) for n in range(light.train.epochs))
    assert 14 < pixels <= sum(work_of(base, n) for n in range(base.train.epochs))


def test_the_backbone_at_the_recipes_size_is_a_run_of_table_4() -> None:
    (table4,) = (row for row in TABLES["table4"].rows if row.name == "plain-long")
    for data in OURS:
        base = with_seed(recipe_of(data, None), 0)
        assert same_settings(table4.config(base), FRONTIER.rows[0].config(base))


def test_names_are_those_of_rows() -> None:
    assert {*FRONTIER.first, *CURVE, *AVERAGED} < {row.name for row in FRONTIER.rows}


@pytest.mark.parametrize("data", [*OURS, *SMALL])
def test_a_data_set_has_one_row_of_a_name(data: str) -> None:
    names = [row.name for row in FRONTIER.rows if row.applies_to(data)]
    assert len(names) == len(set(names))
