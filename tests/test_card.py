"""The card of a model says what is known of its run, and takes no markup from names."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from samples import TINY, make
from scapnet.card import TrainingFacts, escaped, model_card, wilson
from scapnet.config import ViewConfig
from scapnet.data.info import FOLDER, DatasetInfo

SCORES: dict[str, Any] = {
    "split": "val",
    "accuracy": 0.75,
    "accuracy_main": 0.5,
    "mean_per_class": 0.7,
    "kept": 0.4,
    "images": 40.0,
    "train_seconds": 120.0,
    "unreadable": 2.0,
}
FACTS = TrainingFacts(replace(TINY, preset="toys"), FOLDER, {"training": 1200, "validation": 40})


def test_it_has_data_recipe_figures_limits_and_licence() -> None:
    text = model_card(make(), SCORES, FACTS)
    for words in (
        "1,200 training, 40 validation photos",
        "| preset | toys |",
        "| epochs | 3, the first 1 without parts |",
        "| training time | 2 minutes |",
        "On 40 photos of the val split, with 95% intervals:",
        "| accuracy | 75.0% (59.8% to 85.8%) |",
        "| kept share of the grid | 40.0% |",
        "There was no test split",
        "a square whose side is 89% of the shorter side",
        "2 photos of the split could not be read",
        "The photos are the trainer's own",
    ):
        assert words in text, words
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == [f"## {name}" for name in ("Use", "Classes", "Data", "Recipe", "Figures", "Limits", "Licence")]


def test_a_model_without_a_run_says_less_and_nothing_wrong() -> None:
    model = make()
    text = model_card(model, {})
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == ["## Use", "## Classes", "## Limits"]
    assert "no threshold of its own" in text
    model.threshold, model.view = 0.625, ViewConfig(64, 72, fit="pad")
    text = model_card(model, {})
    assert "below a probability of 0.62" in text
    assert "the middle of a photo" not in text


def test_the_licence_of_a_published_data_set_is_there() -> None:
    info = DatasetInfo("cub", "CUB", "A paper", "non-commercial *research*", "https://example.org")
    text = model_card(make(), SCORES, FACTS._replace(data=info))
    assert r"Data: non-commercial \*research\*" in text
    assert r"https\://example\.org" in text


HOSTILE = ["<script>x</script>", "[a](http://b)", "x\n\n# head", "| a | b |", "`code`", "![i](j)", "---", "a\x1b[2J"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_and_nothing_else(name: str, tmp_path: Path) -> None:
    model = make()
    model.classes = (name, "b", "c", "d")
    facts = FACTS._replace(data=replace(FOLDER, title=name), config=replace(FACTS.config, preset=name))
    (tmp_path / "README.md").write_text(model_card(model, {**SCORES, "split": name}, facts), encoding="utf-8")
    card = ModelCard.load(tmp_path / "README.md")
    plain = model_card(make(), SCORES, FACTS).splitlines()
    lines = card.content.splitlines()
    assert [line for line in lines if line.startswith("#")] == [line for line in plain if line.startswith("#")]
    assert not any(
        mark in card.text.replace("\\<", "").replace("\\[", "").replace("\\`", "") for mark in ("<", "[2J", "](h")
    )
    assert card.data.eval_results is not None
    assert card.data.eval_results[0].metric_value == 0.75


def test_escaping_leaves_words_alone() -> None:
    assert escaped("Häher, the 'Blue' jay/crow 日本 (2)") == r"Häher, the 'Blue' jay/crow 日本 \(2\)"


def test_many_classes_are_not_all_listed() -> None:
    model = make()
    model.classes = tuple(f"class {k}" for k in range(250))
    assert "class 199, and 50 more." in model_card(model, {})


@pytest.mark.parametrize(("right", "count"), [(0.0, 5), (1.0, 5), (0.5, 10), (0.9, 1000)])
def test_the_interval_holds_the_shares_that_explain_it(right: float, count: int) -> None:
    """Wilson's edges p solve (share - p)^2 = z^2 p (1 - p) / n."""
    for edge in wilson(right, count):
        assert (right - edge) ** 2 == pytest.approx(1.959964**2 * edge * (1 - edge) / count, abs=1e-9)
