"""NTS-Net and RRA, with our modules and without: equal to plain loops, and trained, saved and shown like SCAPNet."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_convert, nms

from samples import log_of, model_with
from scapnet.baselines.anchors import anchor_count, anchor_levels, anchors, choose
from scapnet.baselines.nts import Navigator, NTSLoss, NTSNet, ranking_loss
from scapnet.baselines.rra import RRA, RecurrentAttention, RRALoss
from scapnet.build import build_model, part_count, title, view_of
from scapnet.checkpoint import from_pretrained, save_pretrained
from scapnet.config import Config, DataConfig, LossConfig, ModelConfig, PartsConfig, SyntheticConfig, TrainConfig
from scapnet.predict import predict_images
from scapnet.terminal.console import ProgressBar
from scapnet.training.loop import train_epoch, validate
from scapnet.training.optim import clip_gradients
from scapnet.training.run import Run
from scapnet.training.schedule import work_of
from scapnet.training.train import resume, train

TINY = ModelConfig("test_resnet", "none", parts=PartsConfig(size=32))
NTS = model_with(TINY, network="nts", gate__enabled=False, relation__enabled=False)
RRA_ = model_with(TINY, network="rra", gate__enabled=False, relation__enabled=False, parts__keep=(0, 2))
ROWS = {
    "NTS-Net": NTS,
    "PRM + NTS-Net": model_with(NTS, relation__enabled=True, relation__heads=2),
    "RRA": RRA_,
    "gGAU + RRA": model_with(RRA_, gate__enabled=True),
}
SHARED = model_with(
    RRA_, gate__enabled=True, parts__shared=True, parts__keep=(3, 2, 1), gate__mask="stage4", gate__grid=3
)
CLASSES, SIZE = 5, 128
MAPS = [(4, 4), (2, 2), (1, 1)]


def make(config: ModelConfig, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    model: Any = build_model(config, CLASSES, SIZE)
    for name, parameter in model.named_parameters():
        # timm starts the last norm of a block at zero, where the block does nothing and learns nothing.
        if not parameter.any() and name.endswith("weight"):
            nn.init.constant_(parameter, 0.5)
    if isinstance(model, NTSNet):  # a fresh Navigator prefers the same few anchors in every image
        for name, parameter in model.navigator.named_parameters():
            if name.endswith("weight"):
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return model.eval()


def pictures(count: int, side: int = SIZE, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def tensors(output: Any) -> dict[str, Tensor]:
    found = {key: value for key, value in output._asdict().items() if isinstance(value, Tensor)}
    found |= {f"parts.{key}": getattr(output.parts, key) for key in ("boxes", "scores", "scales")}
    return found | ({"mask": output.gate.mask} if output.gate is not None else {})


def same(one: Any, other: Any) -> bool:
    a, b = tensors(one), tensors(other)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# NTS-Net's equations as plain loops.


def slow_anchors(maps: list[tuple[int, int]]) -> list[list[float]]:
    """x0, y0, x1, y1 of every anchor."""
    found = []
    sides = [
        [48 * 2 ** (k / 3) for k in (1, 2)],
        [96 * 2 ** (k / 3) for k in (1, 2)],
        [192 * 2 ** (k / 3) for k in range(3)],
    ]
    for (rows, columns), lengths in zip(maps, sides, strict=True):
        for length in lengths:
            for ratio in (0.667, 1, 1.5):
                width, height = length / 448 * ratio**0.5, length / 448 / ratio**0.5
                for i in range(rows):
                    for j in range(columns):
                        y, x = (i + 0.5) / rows, (j + 0.5) / columns
                        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                        found.append([min(max(edge, 0.0), 1.0) for edge in box])
    return found


def slow_overlap(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0.0) * max(height, 0.0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def slow_choice(scores: list[float], boxes: list[list[float]], count: int, threshold: float) -> list[int]:
    order = sorted(range(len(scores)), key=lambda a: -scores[a])
    kept: list[int] = []
    for a in order:
        if all(slow_overlap(boxes[a], boxes[b]) <= threshold for b in kept):
            kept.append(a)
    return (kept + [a for a in order if a not in kept])[:count]


def slow_ranking(scores: list[list[float]], confidence: list[list[float]]) -> float:
    total = 0.0
    for score, sure in zip(scores, confidence, strict=True):
        for i in range(len(score)):
            for s in range(len(score)):
                if sure[i] < sure[s]:
                    total += max(1 - (score[s] - score[i]), 0.0)
    return total / len(scores)


@pytest.mark.parametrize("maps", [[(14, 14), (7, 7), (4, 4)], MAPS, [(3, 5), (2, 3), (1, 2)]])
def test_anchors_are_the_loops(maps: list[tuple[int, int]]) -> None:
    found = anchors(maps)
    assert len(found) == anchor_count(maps) == len(anchor_levels(maps))
    torch.testing.assert_close(
        box_convert(found, "cxcywh", "xyxy"), torch.tensor(slow_anchors(maps)), rtol=1e-5, atol=1e-6
    )
    level = [k for k, (t, (h, w)) in enumerate(zip((6, 6, 9), maps, strict=True), 1) for _ in range(t * h * w)]
    assert anchor_levels(maps).tolist() == level
    assert float(found[:, 2:].min()) > 0


def test_a_view_of_448_has_the_papers_1614_anchors_and_they_grow_with_the_view() -> None:
    full = anchors([(14, 14), (7, 7), (4, 4)])
    assert len(full) == 1614
    side = 48 * 2 ** (1 / 3)  # square, in the middle of the map: shape 1 of level 1, row 7, column 7
    torch.testing.assert_close(full[14 * 14 + 7 * 14 + 7] * 448, torch.tensor([240, 240, side, side]))
    for size in (224, 448, 896):
        cells = size // 32
        maps = [(n, n) for n in (cells, math.ceil(cells / 2), math.ceil(math.ceil(cells / 2) / 2))]
        found = anchors(maps)
        widest = found[anchor_levels(maps) == 1, 2].max() * size
        assert float(widest) == pytest.approx(48 * 2 ** (2 / 3) * 1.5**0.5 * size / 448)
        corners = box_convert(found, "cxcywh", "xyxy")
        point = (torch.arange(32) + 0.5) / 32  # more than the 28 rows and columns of the largest map
        point = torch.stack(torch.meshgrid(point, point, indexing="ij"), -1).view(-1, 1, 2)
        assert ((corners[:, :2] <= point) & (point <= corners[:, 2:])).all(-1).any(1).all()


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.7])
def test_the_choice_is_non_maximum_suppression(threshold: float) -> None:
    boxes = anchors(MAPS)
    scores = torch.randn(20, len(boxes), generator=torch.Generator().manual_seed(0))
    found = choose(scores, boxes, 6, threshold)
    corners = box_convert(boxes, "cxcywh", "xyxy")
    for row, chosen in zip(scores, found.tolist(), strict=True):
        assert chosen == slow_choice(row.tolist(), corners.tolist(), 6, threshold)
        kept = nms(corners, row, threshold)[:6].tolist()
        assert chosen[: len(kept)] == kept


def test_too_few_survivors_are_filled_up_with_the_next_best() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.4]] * 4 + [[0.1, 0.1, 0.1, 0.1]])
    scores = torch.tensor([[0.1, 0.9, 0.3, 0.8, 0.2], [-5.0, -3.0, -4.0, -2.0, -9.0]])
    assert choose(scores, boxes, 4).tolist() == [[1, 4, 3, 2], [3, 4, 1, 2]]
    assert choose(scores, boxes, 5)[0].sort().values.tolist() == [0, 1, 2, 3, 4]


def test_the_ranking_loss_is_the_loop_and_orders_the_parts() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, confidence = torch.randn(7, 6, generator=generator), torch.randn(7, 6, generator=generator)
    confidence[0] = 0.5  # equal ones have no order
    expected = slow_ranking(scores.tolist(), confidence.tolist())
    assert float(ranking_loss(scores, confidence)) == pytest.approx(expected, rel=1e-5)
    assert float(ranking_loss(confidence[1:].argsort(1).argsort(1) * 1.0, confidence[1:])) == 0
    pair = torch.zeros(1, 2, requires_grad=True)
    ranking_loss(pair, torch.tensor([[0.1, 0.9]])).backward()  # type: ignore[no-untyped-call]
    assert pair.grad is not None
    assert pair.grad.tolist() == [[1.0, -1.0]]  # a step against it lifts the part that the Teacher trusts


def test_the_navigator_has_the_parameters_of_table_iii() -> None:
    count = sum(p.numel() for p in Navigator(2048).parameters())
    convolutions = (2048 * 9 + 1) * 128 + 2 * (128 * 9 + 1) * 128
    assert count == convolutions + 129 * (6 + 6 + 9) == 2_657_301
    assert math.floor(count / 1e4) / 100 == 2.65  # the table's figure, cut off rather than rounded


def test_the_terms_of_nts_net() -> None:
    model, target = make(ROWS["PRM + NTS-Net"]), torch.tensor([0, 3, 1])
    with torch.no_grad():
        output: Any = model(pictures(3))
    terms = NTSLoss(2.0, 3.0, 0.5, 0.25)(output, target)
    sure = output.part_logits.log_softmax(-1)[range(3), :, target]  # (B, M)
    assert float(terms["sub"]) == pytest.approx(float(-sure.sum(1).mean()), rel=1e-5)
    assert float(terms["rank"]) == pytest.approx(slow_ranking(output.parts.scores.tolist(), sure.tolist()), rel=1e-5)
    assert float(terms["joint"]) == pytest.approx(float(-output.probs.log()[range(3), target].mean()), rel=1e-5)
    parts = 2 * terms["cls"] + 3 * terms["sub"] + 0.5 * terms["joint"] + 0.25 * terms["rank"]
    torch.testing.assert_close(terms["loss"], parts)
    assert set(terms) == {"cls", "sub", "joint", "rank", "loss"}


@pytest.mark.parametrize("row", ["PRM + NTS-Net", "gGAU + RRA"])
def test_soft_targets_and_class_weights(row: str) -> None:
    model, target = make(ROWS[row]), torch.tensor([0, 3, 1])
    with torch.no_grad():
        output: Any = model(pictures(3))
    loss = model.make_loss(LossConfig())
    hard, soft = loss(output, target), loss(output, F.one_hot(target, CLASSES).float())
    torch.testing.assert_close(soft, hard)
    mixed = loss(output, (F.one_hot(target, CLASSES) + F.one_hot(target.flip(0), CLASSES)) / 2)
    swapped = loss(output, target.flip(0))
    for name in {"cls", "sub", "joint"} & set(mixed):
        torch.testing.assert_close(mixed[name], (hard[name] + swapped[name]) / 2)
    # Only images of class 3 count.
    only = model.make_loss(LossConfig(), torch.tensor([0.0, 0, 0, 7, 0]))(output, target)
    parts = output.part_logits[1]
    torch.testing.assert_close(only["cls"], F.cross_entropy(output.logits[1:2], target[1:2]))
    torch.testing.assert_close(only["sub"], F.cross_entropy(parts, target[1].expand(len(parts)), reduction="sum"))


def test_the_ranking_teaches_the_navigator_alone() -> None:
    model = make(NTS).train()
    NTSLoss()(model(pictures(4)), torch.arange(4))["rank"].backward()
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None} == {"navigator"}


@pytest.mark.parametrize(("dropout", "share"), [(None, 0.5), (0.25, 0.25), (0.0, 0.0)])
def test_training_drops_features_of_image_and_parts(dropout: float | None, share: float) -> None:
    model = make(model_with(NTS, dropout=dropout)).train()
    pooled, used = [], []
    model.dropout.register_forward_hook(lambda _, args, __: pooled.append(args[0].flatten()))
    for module in (model.classifier, model.part_classifier):
        module.register_forward_pre_hook(lambda _, args: used.append(args[0].flatten()))
    model(pictures(16))
    assert [len(features) for features in used] == [16 * 96, 16 * 6 * 96]
    for before, after in zip(pooled, used, strict=True):
        assert float((after[before != 0] == 0).float().mean()) == pytest.approx(share, abs=0.08 if share else 0.0)


def test_recurrent_attention_looks_at_each_patch_in_turn() -> None:
    torch.manual_seed(0)
    module = RecurrentAttention(8, 6, 2, 3)
    features = torch.randn(4, 2, 8)
    found, weights = module(features)
    for image in range(4):
        steps, state = [], None
        for patch in range(2):
            for _ in range(3):
                step, state = module.lstm(features[image, patch][None, None], state)
                steps.append(step[0, 0])
        scores = torch.stack([module.attention(step)[0] for step in steps])
        expected = [math.exp(score) for score in scores.tolist()]
        for weight, value in zip(weights[image].tolist(), expected, strict=True):
            assert weight == pytest.approx(value / math.fsum(expected), rel=1e-4)
        mean = sum((w * s for w, s in zip(weights[image], steps, strict=True)), torch.zeros(6))
        torch.testing.assert_close(found[image], mean, rtol=1e-4, atol=1e-6)


def test_the_terms_and_the_answer_of_rra() -> None:
    model, target = make(ROWS["gGAU + RRA"]), torch.tensor([0, 3, 1])
    with torch.no_grad():
        output: Any = model(pictures(3))
    assert output.part_logits is not None
    assert output.gate is not None
    torch.testing.assert_close(output.probs, (output.logits + output.part_logits[:, 0]).softmax(1))
    terms = RRALoss(2.0, 3.0, 0.5)(output, target)
    assert float(terms["act"]) == pytest.approx(float(output.gate.mask.mean((1, 2)).square().mean()))
    local = -output.part_logits[:, 0].log_softmax(1)[range(3), target].mean()
    torch.testing.assert_close(terms["sub"], local)
    torch.testing.assert_close(terms["loss"], 2 * terms["cls"] + 3 * terms["act"] + 0.5 * terms["sub"])
    assert set(terms) == {"cls", "act", "sub", "loss"}


@pytest.mark.parametrize("config", [*ROWS.values(), SHARED], ids=[*ROWS, "shared"])
def test_the_same_answer_however_it_is_asked(config: ModelConfig) -> None:
    model, images, index = make(config), pictures(4), torch.arange(10, 14)
    with torch.no_grad():
        output = model(images, index=index)
        torch.manual_seed(5)
        assert same(output, model(images, index=index))  # no dropout and no chance: NTS-Net issues 14 and 31
        whole = tensors(output)
        singles = [tensors(model(images[i : i + 1], index=index[i : i + 1])) for i in range(4)]
        order = torch.tensor([2, 0, 3, 1])
        turned = tensors(model(images[order], index=index[order]))
    for key, value in whole.items():
        torch.testing.assert_close(torch.cat([single[key] for single in singles]), value, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(turned[key], value[order], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(whole["probs"].sum(1), torch.ones(4))
    parts = part_count(config)
    assert whole["part_logits"].shape == (4, parts if config.network == "nts" else 1, CLASSES)
    assert whole["parts.boxes"].shape == (4, parts, 4)
    assert ("mask" in whole) == config.gate.enabled


@pytest.mark.parametrize("row", ROWS)
def test_every_parameter_gets_a_gradient(row: str) -> None:
    model = make(ROWS[row]).train()
    if isinstance(model, NTSNet):  # every level has a part among the six, or its convolution would not be asked
        for level, (name, bias) in enumerate(model.navigator.heads.named_parameters()):
            if name.endswith("bias"):
                nn.init.constant_(bias, 10.0 * level)
    target = torch.arange(12) % CLASSES
    model.make_loss(LossConfig())(model(pictures(12)), target)["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("plain", "ours"), [("NTS-Net", "PRM + NTS-Net"), ("RRA", "gGAU + RRA")])
def test_our_module_is_all_that_a_variant_adds(plain: str, ours: str) -> None:
    one, other = make(ROWS[plain]), make(ROWS[ours])
    added = {name.split(".")[0] for name in other.state_dict().keys() - one.state_dict().keys()}
    assert added == ({"relation"} if plain == "NTS-Net" else {"gate"})
    assert one.state_dict().keys() <= other.state_dict().keys()
    other.load_state_dict(one.state_dict(), strict=False)
    images = pictures(4)
    with torch.no_grad():
        a, b = one(images), other(images)
    assert not torch.allclose(a.probs, b.probs)
    assert torch.equal(a.logits, b.logits) == (plain == "NTS-Net")  # PRM touches the parts, the mask the image
    assert [title(model.config) for model in (one, other)] == [plain, ours]


def test_prm_sees_the_parts_before_they_are_classified_and_joined() -> None:
    model = make(ROWS["PRM + NTS-Net"])
    seen: dict[str, Tensor] = {}
    for name in ("relation", "part_classifier", "scrutinizer", "backbone"):
        getattr(model, name).register_forward_hook(
            lambda _, args, out, name=name: seen.update({f"{name} in": args[0], name: out})
        )
    output = model(pictures(2))
    assert torch.equal(seen["relation in"].flatten(0, 1), seen["backbone"])
    assert torch.equal(seen["part_classifier in"], seen["relation"])
    assert torch.equal(seen["scrutinizer in"][:, : 4 * 96], seen["relation"][:, :4].flatten(1))
    assert output.parts is not None
    falling = output.parts.scores.diff(dim=1) <= 0
    assert falling.float().mean() > 0.5


def test_the_gate_decides_which_patches_are_read() -> None:
    model, images = make(ROWS["gGAU + RRA"]), pictures(4)
    with torch.no_grad():
        output = model(images)
    assert output.parts is not None
    best = output.parts.maps[1].flatten(1).topk(2)  # of the nine windows of two units by two
    assert torch.equal(output.parts.scores, best.values)
    corner = torch.stack((best.indices % 3, best.indices // 3), -1) / 4
    torch.testing.assert_close(output.parts.boxes, torch.cat((corner + 0.25, torch.full((4, 2, 2), 0.5)), -1))


def test_patches_without_a_gate_are_drawn_by_the_samples_number() -> None:
    model, images = make(RRA_), pictures(1).expand(12, -1, -1, -1)
    with torch.no_grad():
        output, again = model(images, index=torch.arange(12)), model(images, index=torch.arange(12).flip(0))
        assert torch.equal(output.parts.boxes, again.parts.boxes.flip(0))
        assert len(output.parts.boxes.unique(dim=0)) > 4
        assert len(model(images).parts.boxes.unique(dim=0)) == 1
        torch.manual_seed(0)
        assert len(model.train()(images).parts.boxes.unique(dim=0)) > 4


@pytest.mark.parametrize("row", ROWS)
def test_stage_one_is_the_image_alone(row: str) -> None:
    model, images = make(ROWS[row]), pictures(2)
    before = model(images).logits
    model.set_stage(1)
    output = model(images)
    assert output.parts is None
    assert output.part_logits is None
    assert torch.equal(output.logits, before)
    torch.testing.assert_close(output.probs, output.logits.softmax(1))
    thawed = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert thawed == {"backbone", "classifier"} | ({"gate"} if ROWS[row].gate.enabled else set())
    terms = model.make_loss(LossConfig())(output, torch.tensor([0, 1]))
    assert {"cls", "loss"} <= set(terms) <= {"cls", "act", "loss"}
    model.set_stage(2)
    assert all(p.requires_grad for p in model.parameters())
    model.start_parts_from_main()
    if isinstance(model, RRA):
        assert model.part_backbone is not None
        assert torch.equal(model.part_backbone(pictures(2, 32)), model.backbone(pictures(2, 32)))


@pytest.mark.parametrize("row", ROWS)
def test_parts_are_chosen_on_the_view_and_cut_from_the_source(row: str) -> None:
    model, images = make(ROWS[row]), pictures(2)
    with torch.no_grad():
        view, larger = model(images), model(images, pictures(2, 192, seed=3))
    assert torch.equal(view.parts.boxes, larger.parts.boxes)
    assert torch.equal(view.logits, larger.logits)
    assert not torch.allclose(view.part_logits, larger.part_logits)


@pytest.mark.parametrize("row", ROWS)
def test_bfloat16_stays_finite(row: str) -> None:
    model = make(ROWS[row]).train()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(pictures(4))
        loss = model.make_loss(LossConfig())(output, torch.arange(4))["loss"]
    loss.backward()
    assert output.probs.dtype == torch.float32
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


class Flat(nn.Module):
    """What an exporter takes: a dict of tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return tensors(self.model(image))


def test_a_host_can_be_exported() -> None:
    flat = Flat(make(ROWS["PRM + NTS-Net"])).eval()
    program = torch.export.export(flat, (pictures(2),), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},))
    images = pictures(3, seed=2)
    found, expected = program.module()(images), flat(images)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-4)


# The house: loop, checkpoint, prediction.


def run_config(row: str) -> Config:
    return Config(
        row,
        DataConfig(
            "finches",
            size=64,
            resize=72,
            rotation=10,
            workers=0,
            synthetic=SyntheticConfig(num_classes=4, train_length=8, test_length=4),
        ),
        ROWS[row],
        train=TrainConfig(epochs=2, stage1_epochs=1, part_start="main", batch_size=4, clip=5.0, log_every=1),
    )


@pytest.mark.parametrize("row", ["PRM + NTS-Net", "gGAU + RRA"])  # with all that the other two have
def test_the_loop_trains_resumes_scores_and_saves_a_host(tmp_path: Path, row: str) -> None:
    config = run_config(row)
    train(config, tmp_path / "whole")
    run = Run(config, tmp_path / "broken")
    with ProgressBar("work", quiet=True) as bar:
        bar.start("training", 1)
        train_epoch(run, bar)
        run.position.epoch, run.position.step = 1, 0
        validate(run, bar)
        run.folder.checkpoint()
    torch.manual_seed(99)
    resume(tmp_path / "broken")
    assert log_of(tmp_path / "broken") == log_of(tmp_path / "whole")
    one, other = (from_pretrained(tmp_path / name) for name in ("whole", "broken"))
    with torch.no_grad():
        assert same(one(pictures(2, 64)), other(pictures(2, 64)))
    result = json.loads((tmp_path / "whole" / "results.json").read_text())
    assert {"accuracy", "accuracy_main", "accuracy_parts"} <= set(result)
    assert ("kept" in result) == ("covered" in result) == ROWS[row].gate.enabled
    assert (tmp_path / "whole" / "parts.png").is_file()
    assert f"# {row} for 4 classes" in (tmp_path / "whole" / "model" / "README.md").read_text()


@pytest.mark.parametrize("config", [*ROWS.values(), SHARED], ids=[*ROWS, "shared"])
def test_a_host_comes_back_to_the_bit_and_predicts(tmp_path: Path, config: ModelConfig) -> None:
    model = make(config)
    model.view, model.classes = view_of(Config(data=DataConfig(size=128, resize=128)), model), tuple("abcde")
    model.train()(pictures(4))
    save_pretrained(model.eval(), tmp_path / "model")
    loaded = from_pretrained(tmp_path / "model")
    assert type(loaded) is type(model)
    assert (loaded.config, loaded.view, loaded.classes) == (model.config, model.view, model.classes)
    with torch.no_grad():
        assert same(model(pictures(2)), loaded(pictures(2)))
    photo = torch.randint(0, 256, (3, 150, 200), dtype=torch.uint8)
    answer = predict_images(loaded, [photo], ["photo"])[0]
    assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
    assert len(answer.parts) == (part_count(config))
    assert all(0 <= part.box[0] < part.box[2] <= 200 and part.probability > 0 for part in answer.parts)


def norm_of(module: torch.nn.Module) -> float:
    return math.sqrt(sum(float(p.grad.square().sum()) for p in module.parameters() if p.grad is not None))


def test_the_recipe_knows_the_hosts() -> None:
    for row, parts in (("NTS-Net", 6), ("gGAU + RRA", 2)):
        config = run_config(row)
        assert [work_of(config, epoch) for epoch in (0, 1)] == [1.0, 1.0 + parts / 4]
        model = make(ROWS[row]).train()
        loss = model.make_loss(LossConfig(smoothing=0.1))
        loss.act = 0.5
        loss(model(pictures(4)), torch.arange(4))["loss"].backward()
        clip_gradients(model, 0.1)
        # Every group is over the norm by far, so that two clipped together would be left with less.
        assert norm_of(model) == pytest.approx(0.1 * (3 if isinstance(model, NTSNet) else 2) ** 0.5, rel=0.01)
        if isinstance(model, NTSNet):
            assert norm_of(model.navigator) == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize(
    ("base", "changes", "words"),
    [
        (NTS, {"gate__enabled": True}, "NTS-Net has no gate; disable it with --model.gate.no-enabled"),
        (RRA_, {"relation__enabled": True}, "RRA has no part relation; disable it with --model.relation.no-enabled"),
        (RRA_, {"parts__strategy": "top"}, "needs the gate's scores"),
        (RRA_, {"parts__keep": (0, 0)}, "0 parts"),
        (RRA_, {"gate__enabled": True, "gate__grid": 9}, "grid of 9 does not fit the 8 x 8 map"),
        (NTS, {"parts__enabled": False}, "needs parts; enable them"),
        (NTS, {"parts__size": 4}, "at least 8"),
        (NTS, {"gate__mask": "stage5"}, "use one of stage3, stage4, none"),
        (NTS, {"relation__enabled": True, "relation__heads": 0}, "at least 1"),
        (NTS, {"relation__enabled": True, "relation__heads": 97}, "use 1 to 96"),
        (NTS, {"network": "pmg"}, "use one of scapnet, nts, rra"),
        (NTS, {"dropout": 1.0}, "model.dropout is 1.0; it must be a share from 0 to below 1"),
        (NTS, {"dropout": -0.1}, "must be a share from 0 to below 1"),
        (NTS, {"dropout": math.nan}, "must be a share from 0 to below 1"),
        (RRA_, {"dropout": 0.0}, "network rra has no dropout; leave model.dropout out, or use --model.network nts"),
        (TINY, {"dropout": 0.5}, "network scapnet has no dropout"),
        (model_with(TINY, network="plain"), {"dropout": 0.5}, "network plain has no dropout"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(base: ModelConfig, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        build_model(model_with(base, **changes), CLASSES, SIZE)
    assert "\n" not in str(error.value)


def test_a_classifier_needs_two_classes() -> None:
    with pytest.raises(ValueError, match="at least 2 classes"):
        build_model(NTS, 1, SIZE)
