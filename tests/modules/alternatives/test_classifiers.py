"""The rivals of Table X in the whole network: classifiers of the parts, and the graph in PRM's place."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samples import model_with
from scapnet.checkpoint import from_pretrained, save_pretrained
from scapnet.config import ModelConfig, PartsConfig, ViewConfig
from scapnet.data.sample import Sample
from scapnet.losses import SCAPNetLoss, part_loss
from scapnet.metrics.batch import columns
from scapnet.model import SCAPNet
from scapnet.modules import PartGraph
from scapnet.modules.alternatives.classifiers import ConcatClassifier, EachClassifier, make_part_classifier
from scapnet.predict import predict_images
from scapnet.serialization import from_dict, to_dict
from scapnet.visualize import part_row

FULL = ModelConfig("test_resnet", "none", parts=PartsConfig(size=32))
NAMES, SIZE = ("a", "b", "c", "d", "e"), 64
CLASSES = len(NAMES)
KINDS = ["shared", "each", "concat"]

ROWS: dict[str, dict[str, Any]] = {
    "concatenate": {"relation__enabled": False, "parts__classifier": "concat"},
    "ensemble": {"relation__enabled": False, "parts__classifier": "each"},
    "gcn": {"relation__type": "gcn"},
    "relation, then all": {"parts__classifier": "concat"},
    "top, each": {"parts__strategy": "top", "parts__total": 4, "parts__classifier": "each"},
    "top, concat": {"parts__strategy": "top", "parts__total": 4, "parts__classifier": "concat"},
    "random, each": {"parts__strategy": "random", "parts__classifier": "each"},
    "fixed": {
        "parts__strategy": "fixed",
        "parts__keep": (0, 5, 0, 1),
        "parts__classifier": "concat",
        "relation__type": "gcn",
    },
}


def build(**changes: Any) -> SCAPNet:
    torch.manual_seed(1)
    model = SCAPNet.from_config(model_with(FULL, **changes), CLASSES, SIZE)
    for name, parameter in model.named_parameters():  # timm starts the last norm of a block at zero
        if not parameter.any() and name.endswith("weight"):
            nn.init.constant_(parameter, 0.5)
    model.view, model.classes = ViewConfig(SIZE, SIZE), NAMES
    return model


def pictures(count: int) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def test_each_part_has_a_linear_layer_of_its_own() -> None:
    torch.manual_seed(0)
    head, features = EachClassifier(3, 8, 5), torch.randn(4, 3, 8)
    assert {name: tuple(p.shape) for name, p in head.named_parameters()} == {"weight": (3, 5, 8), "bias": (3, 5)}
    assert 0.3 < float(head.weight.detach().abs().max()) * 8**0.5 <= 1  # the bound that nn.Linear has
    for b in range(4):
        for m in range(3):
            expected = head.weight[m] @ features[b, m] + head.bias[m]
            torch.testing.assert_close(head(features)[b, m], expected)


def test_one_linear_layer_sees_all_parts_side_by_side() -> None:
    torch.manual_seed(0)
    head, features = ConcatClassifier(3, 8, 5), torch.randn(4, 3, 8)
    assert head(features).shape == (4, 1, 5)
    expected = head.linear.weight @ torch.cat([features[2, 0], features[2, 1], features[2, 2]]) + head.linear.bias
    torch.testing.assert_close(head(features)[2, 0], expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["attention", "gcn"])
def test_the_start_from_the_main_branch_gives_the_shared_classifier_s_mean(kind: str, way: str) -> None:
    model = build(parts__classifier=kind, relation__type=way).eval()
    shared = build(relation__type=way).eval()
    shared.load_state_dict(
        {k: v for k, v in model.state_dict().items() if not k.startswith("part_classifier")}, strict=False
    )
    shared.start_parts_from_main()
    model.start_parts_from_main()
    with torch.no_grad():
        one, other = shared(pictures(3)).part_logits, model(pictures(3)).part_logits
    assert other.shape == (3, 1 if kind == "concat" else 6, CLASSES)
    torch.testing.assert_close(other.mean(1), one.mean(1), rtol=1e-4, atol=1e-5)
    if kind != "concat":
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_learns_and_answers_the_same_alone_and_in_a_batch(row: str) -> None:
    model = build(**ROWS[row]).train()
    SCAPNetLoss()(model(pictures(8)), torch.arange(8) % CLASSES)["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
    assert isinstance(model.relation, PartGraph) == (ROWS[row].get("relation__type") == "gcn")
    index, images = torch.arange(4), pictures(4)
    with torch.no_grad():
        whole = model.eval()(images, index=index)
        single = torch.cat([model(images[i : i + 1], index=index[i : i + 1]).probs for i in range(4)])
    torch.testing.assert_close(single, whole.probs, rtol=1e-4, atol=1e-5)
    expected = (whole.logits.softmax(1) + whole.part_logits.mean(1).softmax(1)) / 2
    torch.testing.assert_close(whole.probs, expected)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_saved_predicted_scored_and_drawn(row: str, tmp_path: Path) -> None:
    made = build(**ROWS[row])
    made.train()(pictures(4))  # statistics of its own in every norm
    model = from_pretrained(save_pretrained(made.eval(), tmp_path / "m"))
    with torch.no_grad():
        one, other = made(pictures(2)), model(pictures(2))
    assert torch.equal(one.probs, other.probs)
    assert model.config == made.config
    photo = torch.randint(0, 256, (3, 70, 90), dtype=torch.uint8)
    parts = predict_images(model, [photo], ["photo"])[0].parts
    assert len(parts) == model.config.parts.count
    if ROWS[row].get("parts__classifier") == "concat":
        assert len({(part.name, part.probability) for part in parts}) == 1
    assert part_row(model, Sample(photo, 0, "photo")).width > 0


def test_a_single_row_of_logits_is_the_answer_of_the_parts() -> None:
    model = build(parts__classifier="concat").eval()
    target = torch.arange(4)
    with torch.no_grad():
        output = model(pictures(4))
    own = nn.functional.cross_entropy(output.part_logits[:, 0], target)
    torch.testing.assert_close(part_loss(output.part_logits, target), 2 * own)
    batch: Any = {"target": target, "box": torch.full((4, 4), torch.nan), "marks": torch.full((4, 2, 4), torch.nan)}
    right = (output.part_logits[:, 0].argmax(1) == target).float()
    assert torch.equal(columns(output, batch)["accuracy_parts"], right)


@pytest.mark.parametrize("row", ["concatenate", "ensemble", "gcn", "fixed"])
def test_bfloat16_autocast_stays_finite(row: str) -> None:
    model = build(**ROWS[row]).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = SCAPNetLoss()(model(pictures(8)), torch.arange(8) % CLASSES)["loss"]
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_settings_of_older_models_still_mean_the_same() -> None:
    older = {key: value for key, value in to_dict(FULL).items() if key not in ("way", "part_classifier")}
    assert from_dict(ModelConfig, older) == FULL


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"relation__type": "sum"}, "use one of attention, gcn"),
        ({"relation__type": "gcn", "relation__enabled": False}, "needs the relation"),
        ({"relation__type": "gcn", "relation__heads": 3}, "belong to relation.type attention"),
        ({"relation__type": "gcn", "relation__geometry": False}, "belong to relation.type attention"),
        ({"parts__classifier": "both"}, "use one of shared, each, concat"),
        ({"parts__enabled": False, "relation__enabled": False, "parts__classifier": "each"}, "each needs parts"),
        ({"parts__enabled": False, "relation__enabled": False, "parts__classifier": "concat"}, "concat needs parts"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        build(**changes)
    assert "\n" not in str(error.value)


def test_an_unknown_classifier_is_refused() -> None:
    with pytest.raises(ValueError, match="use shared, each or concat"):
        make_part_classifier("none", 6, 8, 5)
