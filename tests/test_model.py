"""The whole network: every combination of its modules, and what must hold whatever its weights are."""

import pytest
import timm
import torch
from torch import Tensor, nn

from samples import model_with
from scapnet.build import build_model
from scapnet.config import LossConfig, ModelConfig, PartsConfig
from scapnet.losses import SCAPNetLoss
from scapnet.model import SCAPNet, SCAPNetOutput

FULL = ModelConfig("test_resnet", "none", parts=PartsConfig(size=32))
CLASSES, SIZE = 5, 64

# Table IV: the backbone, single modules, pairs of them, all.
ROWS = {
    "plain": model_with(FULL, gate__enabled=False, parts__enabled=False, relation__enabled=False),
    "gate": model_with(FULL, parts__enabled=False, relation__enabled=False),
    "parts": model_with(FULL, gate__mask="none", relation__enabled=False),
    "gate+parts": model_with(FULL, relation__enabled=False),
    "gate+relation": model_with(FULL, parts__keep=(6,)),
    "parts+relation": model_with(FULL, gate__mask="none"),
    "full": FULL,
    "shared": model_with(FULL, parts__shared=True),
    "stage4": model_with(FULL, gate__mask="stage4", gate__grid=2, parts__keep=(3, 1)),
    "top": model_with(FULL, parts__strategy="top", parts__total=4),
    "sample": model_with(FULL, parts__strategy="sample"),
    "random": model_with(FULL, parts__strategy="random", relation__heads=3),
    "soft": model_with(FULL, gate__mode="soft", gate__noise=False, relation__appearance=False),
}

NEW_TIMM = pytest.mark.skipif(not timm.is_model("test_vit_relpos"), reason="timm 1.0.15 does not have it")


def wake(model: SCAPNet) -> None:
    """timm starts the last norm of a block at zero, where the block does nothing and learns nothing."""
    for name, parameter in model.named_parameters():
        if not parameter.any() and name.endswith("weight"):
            nn.init.constant_(parameter, 0.5)


def build(row: str) -> SCAPNet:
    torch.manual_seed(1)
    model = SCAPNet.from_config(ROWS[row], CLASSES, SIZE)
    wake(model)
    with torch.no_grad():  # a fresh classifier is nearly undecided; decided ones show mistakes
        for module in (model.gate, model.classifier, model.part_classifier):
            for parameter in module.parameters() if module is not None else ():
                parameter.mul_(3)
    return model.eval()


def pictures(count: int, side: int = SIZE, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def tensors(output: SCAPNetOutput) -> dict[str, Tensor]:
    found = {"logits": output.logits, "probs": output.probs}
    if output.part_logits is not None:
        found["part_logits"] = output.part_logits
    if (gate := output.gate) is not None:
        found.update({"gate.features": gate.features, "gate.mask": gate.mask, "gate.logits": gate.logits})
    if (parts := output.parts) is not None:
        found.update({"parts.boxes": parts.boxes, "parts.scores": parts.scores, "parts.scales": parts.scales})
    return found


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_table_iv_gives_the_same_answer_however_it_is_asked(row: str) -> None:
    model, images, index = build(row), pictures(4), torch.arange(10, 14)
    with torch.no_grad():
        output = tensors(model(images, index=index))
        again = tensors(model(images, index=index))
        singles = [tensors(model(images[i : i + 1], index=index[i : i + 1])) for i in range(4)]
    for key, value in output.items():
        assert torch.equal(value, again[key]), key
        torch.testing.assert_close(torch.cat([single[key] for single in singles]), value, rtol=1e-4, atol=1e-5)
    config = ROWS[row]
    assert output["logits"].shape == output["probs"].shape == (4, CLASSES)
    torch.testing.assert_close(output["probs"].sum(1), torch.ones(4))
    expected = output["logits"].softmax(1)
    assert ("gate.mask" in output) == config.gate.enabled
    assert ("part_logits" in output) == ("parts.boxes" in output) == config.parts.enabled
    if config.parts.enabled:
        parts = config.parts.count
        assert output["part_logits"].shape == (4, parts, CLASSES)
        assert output["parts.boxes"].shape == (4, parts, 4)
        expected = (expected + output["part_logits"].mean(1).softmax(1)) / 2
    torch.testing.assert_close(output["probs"], expected)


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    model = SCAPNet.from_config(FULL, CLASSES, SIZE).train()
    wake(model)
    output = model(pictures(32))
    SCAPNetLoss()(output, torch.arange(32) % CLASSES)["loss"].backward()
    assert output.gate is not None
    assert 0 < float(output.gate.mask.detach().mean()) < 1
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_classification_loss_alone_teaches_the_gate() -> None:
    torch.manual_seed(0)
    model = SCAPNet.from_config(ROWS["gate"], CLASSES, SIZE).train()
    SCAPNetLoss()(model(pictures(8)), torch.arange(8) % CLASSES)["cls"].backward()
    assert model.gate is not None
    for parameter in model.gate.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_a_shared_sub_network_is_the_main_branch_and_learns_from_both() -> None:
    alone, shared, own = (SCAPNet.from_config(ROWS[row], CLASSES, SIZE).train() for row in ("plain", "shared", "full"))
    count = {id(p): p.numel() for p in shared.parameters()}
    backbone = sum(p.numel() for p in alone.backbone.parameters())
    assert shared.part_backbone is shared.backbone
    assert sum(p.numel() for p in own.parameters()) - sum(count.values()) == backbone
    grads = []
    images, target = pictures(8), torch.arange(8) % CLASSES
    for term in ("cls", "sub"):
        shared.zero_grad()
        torch.manual_seed(0)  # the same gate noise
        SCAPNetLoss()(shared(images), target)[term].backward()
        grads.append([p.grad.clone() for p in shared.backbone.parameters() if p.grad is not None])
        assert len(grads[-1]) == len(list(shared.backbone.parameters()))
        assert sum(float(grad.abs().sum()) for grad in grads[-1]) > 0
    assert not torch.allclose(grads[0][0], grads[1][0])
    shared.set_stage(1)
    assert all(p.requires_grad for p in shared.backbone.parameters())


def test_stage_one_freezes_and_skips_the_parts() -> None:
    model = build("full")
    before = model(pictures(2)).logits
    model.set_stage(1)
    output = model(pictures(2))
    assert output.parts is None
    assert output.part_logits is None
    assert torch.equal(output.logits, before)
    torch.testing.assert_close(output.probs, output.logits.softmax(1))
    frozen = {name.split(".")[0] for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"part_backbone", "part_classifier", "relation"}
    model.set_stage(2)
    assert all(p.requires_grad for p in model.parameters())


def test_the_parts_can_start_from_the_main_branch() -> None:
    model = build("full")
    model.start_parts_from_main()
    assert model.part_backbone is not None
    assert model.part_classifier is not None
    small = pictures(2, 32)
    assert torch.equal(model.part_backbone(small), model.backbone(small))
    assert torch.equal(model.part_classifier(torch.ones(1, 96)), model.classifier(torch.ones(1, 96)))


@pytest.mark.parametrize("row", ["parts", "full", "stage4"])
def test_the_main_branch_sees_the_mask_where_it_should(row: str) -> None:
    model, images = build(row), pictures(6)
    with torch.no_grad():
        output = model(images)
        plain = model.classifier(model.backbone(images))
        assert output.gate is not None
        units = output.gate.mask  # (B, N, N)
        assert 0 < float(units.mean()) < 1
        head = model.backbone.head(images)  # as many cells as units, so that cells and units are the same
        if row == "full":
            last = model.backbone.tail(head * units[:, None])
        else:
            last = model.backbone.tail(head) * (units[:, None] if row == "stage4" else 1)
        expected = model.classifier(model.backbone.pool(last))
    torch.testing.assert_close(output.logits, expected, rtol=1e-4, atol=1e-5)
    assert torch.allclose(output.logits, plain, rtol=1e-4, atol=1e-5) == (row == "parts")  # its mask goes nowhere


def test_parts_are_chosen_on_the_view_and_cut_from_the_source() -> None:
    model, images = build("gate+parts"), pictures(3)
    with torch.no_grad():
        default, same = model(images), model(images, images)
        other = model(images, pictures(3, 96, seed=1))
        flat = model(images, torch.full((3, 3, 128, 128), 0.7))
        assert model.part_backbone is not None
        assert model.part_classifier is not None
        constant = model.part_classifier(model.part_backbone(torch.full((1, 3, 32, 32), 0.7)))
    assert torch.equal(default.part_logits, same.part_logits)
    for output in (other, flat):
        assert torch.equal(output.logits, default.logits)
        assert torch.equal(output.parts.boxes, default.parts.boxes)
        assert not torch.allclose(output.part_logits, default.part_logits)
    torch.testing.assert_close(flat.part_logits, constant.expand(3, 6, -1), rtol=1e-4, atol=1e-5)


def test_parts_are_chosen_by_the_unmasked_map() -> None:
    """Or a unit that the gate closed once could never be looked at again."""
    model, images = build("full"), pictures(6)
    with torch.no_grad():
        output = model(images)
        assert model.selection is not None
        assert model.gate is not None
        expected = model.selection(model.backbone.head(images), model.gate.score)
    assert not output.gate.mask.all()
    assert torch.equal(output.parts.boxes, expected.boxes)
    assert all(torch.equal(one, other) for one, other in zip(output.parts.maps, expected.maps, strict=True))


def test_a_part_shows_its_own_place_of_its_own_picture() -> None:
    model = build("gate+parts")
    seen: list[Tensor] = []
    assert model.part_backbone is not None
    model.part_backbone.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    # Red is the place along x, green along y, blue the picture's number: a linear ramp keeps its mean when cropped.
    ramp = (torch.arange(128) + 0.5) / 128
    source = torch.stack([torch.stack([ramp.expand(128, 128), ramp[:, None].expand(128, 128)])] * 3)
    source = torch.cat([source, torch.arange(3.0)[:, None, None, None].expand(3, 1, 128, 128)], 1)
    with torch.no_grad():
        output = model(pictures(3), source)
    mean = seen[0].mean((2, 3)).view(3, 6, 3)
    torch.testing.assert_close(mean[..., :2], output.parts.boxes[..., :2], rtol=0, atol=1e-3)
    torch.testing.assert_close(mean[..., 2], torch.arange(3.0)[:, None].expand(3, 6))


@pytest.mark.parametrize("training", [False, True])
def test_bfloat16_autocast_stays_finite(training: bool) -> None:
    torch.manual_seed(0)
    model = SCAPNet.from_config(FULL, CLASSES, SIZE).train(training)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(pictures(8))
        loss = SCAPNetLoss()(output, torch.arange(8) % CLASSES)["loss"]
    loss.backward()
    assert all(value.isfinite().all() for value in tensors(output).values())
    assert output.probs.dtype == torch.float32
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_success_needs_an_answer_of_each_part() -> None:
    model = SCAPNet.from_config(model_with(FULL, parts__classifier="concat"), CLASSES, SIZE)
    with pytest.raises(ValueError, match=r"--loss.success needs .* --model.parts.classifier concat"):
        model.make_loss(LossConfig(success=1.0))


def test_cam_teaches_the_scorer_where_the_main_branch_sees_the_class() -> None:
    torch.manual_seed(0)
    model = SCAPNet.from_config(FULL, CLASSES, SIZE)
    output, target = model(pictures(4)), torch.arange(4) % CLASSES
    terms = model.make_loss(LossConfig(cam=1.0))(output, target)
    soft = model.make_loss(LossConfig(cam=1.0))(output, torch.nn.functional.one_hot(target, CLASSES).float())
    assert terms["cam"].item() == pytest.approx(soft["cam"].item())
    terms["cam"].backward()
    learns = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert "gate" in learns
    assert not learns & {"classifier", "part_backbone", "part_classifier", "relation"}
    assert model.eval()(pictures(4)).last is None  # an answer does not hold the map


def test_cam_needs_a_map() -> None:
    config = model_with(FULL, backbone="test_vit", weights="none", gate__mask="stage3")
    model = SCAPNet.from_config(config, CLASSES, 160)
    with pytest.raises(ValueError, match=r"--loss.cam needs a class activation map, and test_vit ends in tokens"):
        model.make_loss(LossConfig(cam=1.0))


class Flat(nn.Module):
    """What an exporter takes: a dict of tensors."""

    def __init__(self, model: SCAPNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return tensors(self.model(image))


def test_the_backbone_alone_can_be_exported() -> None:  # the whole network: tests/export
    flat = Flat(build("plain")).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(flat, (pictures(2),), dynamic_shapes=({0: batch},))
    images = pictures(3, seed=2)
    found, expected = program.module()(images), flat(images)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gate__enabled": False}, "enable the gate"),
        ({"gate__enabled": False, "parts__enabled": False}, "the relation needs parts"),
        ({"gate__mask": "stage5"}, "use one of stage3, stage4, none"),
        ({"gate__mode": "medium"}, "use one of hard, soft"),
        ({"parts__strategy": "best"}, "use one of score, top, random"),
        ({"gate__grid": 5}, "grid of 5 does not fit the 4 x 4 map .* at 64 px; use grid <= 4"),
        ({"gate__mask": "stage4"}, "grid of 4 does not fit the 2 x 2 map"),
        ({"parts__keep": (17, 2, 1)}, "a grid of 4 has 16 windows"),
        ({"parts__keep": (3, 2, 1, 1, 1)}, "use 1 to 4 quotas"),
        ({"parts__keep": (0, 0)}, "0 parts"),
        ({"parts__strategy": "top", "parts__total": 30}, "29 windows"),
        ({"relation__heads": 97}, "use 1 to 96"),
        ({"relation__geo_dim": 20}, "multiple of 8"),
        ({"relation__key_dim": 0}, "key_dim"),
        ({"parts__size": 0}, "part"),
        pytest.param({"backbone": "test_vit_relpos"}, "test_vit_relpos cannot be cut", marks=NEW_TIMM),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        SCAPNet.from_config(model_with(FULL, **changes), CLASSES, SIZE)
    assert "\n" not in str(error.value)


def test_a_classifier_needs_two_classes_and_modules_their_partners() -> None:
    with pytest.raises(ValueError, match="at least 2 classes, and got 1"):
        build_model(FULL, 1, SIZE)
    model = build("full")
    with pytest.raises(ValueError, match="parts need a gate"):
        SCAPNet(model.backbone, model.classifier, selection=model.selection)


@pytest.mark.parametrize("row", ["full", "random", "stage4"])
def test_only_photos_of_an_unsure_main_branch_have_parts(row: str) -> None:
    model, images, index = build(row), pictures(6), torch.arange(10, 16)
    with torch.no_grad():
        whole, main = model(images, index=index), model(images, index=index).logits.softmax(1)
        sure = float(main.amax(1).sort().values[3])  # three photos are less sure
        found = model(images, index=index, sure=sure)
        never, always = (model(images, index=index, sure=value) for value in (0.0, 1.5))
    assert found.looked is not None
    assert found.looked.tolist() == (main.amax(1) < sure).tolist()
    assert found.looked.sum() == 3
    torch.testing.assert_close(found.probs[found.looked], whole.probs[found.looked], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.probs[~found.looked], main[~found.looked])
    assert found.parts is not None
    assert torch.equal(found.parts.boxes[found.looked], whole.parts.boxes[found.looked])
    assert torch.equal(found.parts.scales[found.looked], whole.parts.scales[found.looked])
    for values in (found.parts.boxes, found.parts.scores, found.part_logits):
        assert values[~found.looked].isnan().all()
        assert values[found.looked].isfinite().all()
    assert (never.parts, never.part_logits) == (None, None)
    torch.testing.assert_close(never.probs, main)
    torch.testing.assert_close(always.probs, whole.probs)


def test_images_that_are_not_masked() -> None:
    model, images = build("stage4"), pictures(4)
    open_, plain = build("stage4"), build("stage4")
    assert open_.gate is not None
    open_.gate.mask_in_evaluation, plain.mask = False, "none"
    with torch.no_grad():
        masked, found, expected = model(images), open_(images), plain(images)
    assert found.gate is not None
    assert torch.equal(found.gate.mask, masked.gate.mask)
    assert float(masked.gate.mask.mean()) < 1
    assert torch.equal(found.logits, expected.logits)
    assert not torch.equal(found.logits, masked.logits)
