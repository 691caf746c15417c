"""`scapnet eval RUN --explain`: a file beside the scores, a table, and one sentence where it cannot be."""

import json
import math
from pathlib import Path

import pytest

from samples import TINY, Command, Refuse, sentence
from scapnet.build import build_model
from scapnet.checkpoint import save_pretrained
from scapnet.config import ViewConfig
from scapnet.data.load import load_data
from scapnet.data.record import record_of, write_record
from scapnet.faithfulness.measure import explain_file, without_nan
from scapnet.jsonfile import read_json, write_json
from scapnet.serialization import to_dict


@pytest.fixture(scope="module")
def drawn_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run on drawn birds leaves, with a network that was never trained."""
    run = tmp_path_factory.mktemp("runs") / "drawn"
    splits = load_data(TINY.data)
    model = build_model(TINY.model, 4, 64)
    model.view, model.classes = ViewConfig(64, 72), tuple(splits.train.classes)
    save_pretrained(model, run / "model")
    write_json(run / "config.json", to_dict(TINY))
    write_record(run, record_of(splits, None))
    return run


def test_eval_writes_and_prints_the_scores_of_explanations(drawn_run: Path, command: Command) -> None:
    out, _ = command("eval", drawn_run, "--explain", "--explain-images", 1, "--workers", 0)
    found = read_json(explain_file(drawn_run, "test"))
    assert "NaN" not in explain_file(drawn_run, "test").read_text()
    assert (found["preset"], found["split"], found["model"]) == ("test", "test", "last")
    assert found["drawn"]["images"] == 1
    for key in ("parts", "random_boxes", "fixed_boxes", "input_x_gradient"):
        assert 0 <= found["drawn"]["explanations"][key]["preservation"] <= 1
    assert found["photos"]["images"] == found["slots"]["images"] == found["pixels"]["images"] == 1
    for word in (
        "fixed boxes",
        "Input x Gradient",
        "background independence",
        "strongest first",
        "pixels of the open units",
        "parts in",
    ):
        assert word in out


def test_fewer_than_one_image_is_refused(refuse: Refuse) -> None:
    assert "0 pictures" in sentence(refuse("eval", "run", "--explain", "--explain-images", 0))


def test_json_has_no_nan() -> None:
    found = without_nan({"a": math.nan, "b": {"c": [1, 2], "d": math.nan, "e": 0.5}})
    assert json.dumps(found, allow_nan=False) == '{"a": null, "b": {"c": [1, 2], "d": null, "e": 0.5}}'
