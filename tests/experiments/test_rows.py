"""What a row changes in its recipe."""

from dataclasses import replace

import pytest

from samples import TINY
from scapnet.build import part_count
from scapnet.experiments.recipes import PAPER, recipe_of, with_seed
from scapnet.experiments.rows import Row, changed, equal_compute, equal_steps, keep, scaled, two_stages
from scapnet.experiments.tables import TABLES
from scapnet.experiments.tables.changes import PLAIN
from scapnet.training.schedule import stage_of


@pytest.mark.parametrize("name", ["model.gird", "mode.grid", "grid", "model.gate.grid.side"])
def test_a_setting_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        changed(TINY, {name: 1})


def test_changes_are_made_all_at_once() -> None:
    assert changed(TINY, {}) == TINY
    both = changed(TINY, {"loss.act": 9.0, "loss.con": lambda config: config.loss.act * 2})
    assert (both.loss.act, both.loss.con) == (9.0, 2 * TINY.loss.act)  # functions get the config before any change
    smaller = changed(TINY, {"data.resize": 40, "data.size": 40})  # the first alone is refused
    assert (smaller.data.resize, smaller.data.size) == (40, 40)


def test_weights_are_relative_to_the_recipes() -> None:
    half = replace(TINY, loss=replace(TINY.loss, con=0.5))
    assert changed(half, {"loss.con": scaled("con", 3)}).loss == replace(half.loss, con=1.5)


def test_parts_are_counted_from_the_smallest_scale_of_the_recipe() -> None:
    for quotas, expected in (((3, 2, 1), (4, 2, 1)), ((0, 3, 2), (0, 4, 2, 1))):
        recipe = changed(TINY, {"model.parts.keep": quotas})
        assert changed(recipe, {"model.parts.keep": keep(4, 2, 1)}).model.parts.keep == expected


@pytest.mark.parametrize("data", ["finches", "grocery", *PAPER])
def test_equal_compute_sees_as_many_pixels(data: str) -> None:
    config = with_seed(recipe_of(data, None), 0)
    pixels = 0
    for epoch in range(config.train.epochs):
        pixels += config.data.size**2
        if stage_of(config, epoch) == 2:
            for _ in range(sum(config.model.parts.keep)):
                pixels += config.model.parts.size**2
    plain = changed(config, {**PLAIN, "train.epochs": equal_compute})
    assert 0 <= plain.train.epochs * config.data.size**2 - pixels < config.data.size**2
    assert part_count(plain.model) == 0
    assert equal_steps(changed(config, {"train.schedule": "cosine"})) == config.train.step_epochs
    stepped = changed(config, {"train.schedule": "step"})  # as many steps of the learning rate as in the shorter run
    stretched = config.train.step_epochs * plain.train.epochs / config.train.epochs
    assert equal_steps(stepped) == pytest.approx(stretched, abs=1)
    (long,) = [row for row in TABLES["table4"].rows if row.name == "plain-long"]
    assert long.config(stepped).train.step_epochs == equal_steps(stepped)


def test_two_stages_keep_the_recipes_own() -> None:
    assert two_stages(changed(TINY, {"train.stage1_epochs": 2})) == 2
    assert two_stages(changed(TINY, {"train.stage1_epochs": 0, "train.epochs": 12})) == 4


def test_some_data_sets_have_a_row_and_some_do_not() -> None:
    assert Row("a", "a").applies_to("cub")
    assert [Row("a", "a", only=("cub",)).applies_to(data) for data in ("cub", "finches")] == [True, False]
