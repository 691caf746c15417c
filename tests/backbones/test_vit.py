"""Vision transformers: the halves are the whole, and dropping closed tokens equals masking them."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from scapnet.backbones.factory import create
from scapnet.backbones.vit import TokenBackbone, fit_positions
from scapnet.build import build_model
from scapnet.config import GateConfig, LossConfig, ModelConfig, PartsConfig, RelationConfig
from scapnet.experiments.cost import macs_of
from scapnet.model import SCAPNet

KINDS = [  # of pools, prefix tokens and position embeddings, with weights and a size
    ("test_vit", "none", 160),  # class token
    ("test_vit2", "none", 160),  # mean
    ("test_vit3", "none", 160),  # attention pool
    ("test_vit2", "tiny", 128),  # trained
    ("vit_small_patch14_reg4_dinov2", "none", 56),  # registers
    ("eva02_tiny_patch14_224", "none", 56),  # rotary embedding
]


def tokens_of(name: str, weights: str, size: int) -> TokenBackbone:
    """A backbone in evaluation mode; untrained, its biases and norms are not those of a fresh network."""
    torch.manual_seed(0)
    backbone = create(name, weights, size)
    assert isinstance(backbone, TokenBackbone)
    for parameter in backbone.parameters():
        if parameter.dim() == 1 and weights == "none":
            nn.init.normal_(parameter, std=0.3)
    return backbone.eval()


def mask_of(rows: int, height: int, width: int) -> Tensor:
    """(B, H, W): all, some and other numbers of patches."""
    mask = (torch.rand(rows, height, width, generator=torch.Generator().manual_seed(1)) > 0.6).float()
    mask[0] = 1
    mask[:, 0, 0] = 1
    return mask


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: " ".join(map(str, kind)))
def backbone(request: pytest.FixtureRequest) -> tuple[TokenBackbone, Tensor]:
    """A backbone and a batch for it."""
    size = request.param[2]
    return tokens_of(*request.param), torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(2))


def by_hand(backbone: TokenBackbone, image: Tensor, kept: Tensor) -> Tensor:
    """Features (1, D) of one image of which only some patches (n,) go on after the cut, by the network's own layers."""
    net = copy.deepcopy(backbone.net)
    tokens = net._pos_embed(net.patch_embed(image[None]))  # type: ignore[operator]
    rope = None
    if isinstance(tokens, tuple):
        tokens, rope = tokens
    tokens = net.norm_pre(tokens)  # type: ignore[operator]
    for i, block in enumerate(net.blocks):  # type: ignore[arg-type]
        if i == backbone.block:
            places = torch.cat([torch.arange(backbone.prefix), backbone.prefix + kept])
            tokens, rope = tokens[:, places], None if rope is None else rope[kept]
        tokens = block(tokens) if rope is None else block(tokens, rope=rope)
    return net.forward_head(net.norm(tokens), pre_logits=True)  # type: ignore[operator, no-any-return]


@torch.no_grad()
def test_the_halves_are_the_whole(backbone: tuple[TokenBackbone, Tensor]) -> None:
    net, images = backbone
    features, beside = net.start(images)
    assert features.shape == (3, net.channels, *net.map_cells(images.shape[-1], 3))
    torch.testing.assert_close(net.finish(features, beside), net(images), rtol=1e-4, atol=1e-5)
    everything = torch.ones(3, *features.shape[-2:])
    torch.testing.assert_close(net.finish(features, beside, everything), net(images), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_closed_tokens_are_as_if_they_were_not_there(backbone: tuple[TokenBackbone, Tensor]) -> None:
    net, images = backbone
    features, beside = net.start(images)
    mask = mask_of(3, *features.shape[-2:])
    dropped = net.finish(features, beside, mask)
    kept = [row.flatten().nonzero()[:, 0] for row in mask]
    expected = torch.cat([by_hand(net, image, rows) for image, rows in zip(images, kept, strict=True)])
    torch.testing.assert_close(dropped, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(dropped[1], net(images)[1], rtol=0, atol=1e-4)
    # Training masks them instead, which is the same up to the small weight of a closed token.
    net.training = True
    try:
        torch.testing.assert_close(net.finish(features, beside, mask), dropped, rtol=1e-3, atol=1e-4)
    finally:
        net.training = False


def test_a_closed_token_has_a_gradient(backbone: tuple[TokenBackbone, Tensor]) -> None:
    net, images = backbone
    features, beside = (one.detach() for one in net.start(images))
    mask = mask_of(3, *features.shape[-2:]).requires_grad_()
    net.training = True
    try:
        net.finish(features, beside, mask).square().sum().backward()  # type: ignore[no-untyped-call]
    finally:
        net.training = False
    gradient = mask.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient[1][mask[1] == 0].abs().max() > 0


def test_the_gradient_is_that_of_a_weight_in_the_attention(backbone: tuple[TokenBackbone, Tensor]) -> None:
    net, images = backbone
    with torch.no_grad():
        features, beside = net.start(images)
    mask, place, step = mask_of(3, *features.shape[-2:]).clamp(min=0.2), (1, 0, 1), 0.01

    def value(moved: Tensor) -> Tensor:
        return net.finish(features, beside, moved).square().sum()

    net.training = True  # a mask of shares is never dropped, but training adds to it
    try:
        soft = mask.clone().requires_grad_()
        value(soft).backward()  # type: ignore[no-untyped-call]
        change = torch.zeros_like(mask)
        change[place] = step
        with torch.no_grad():
            slope = float(value(mask + change) - value(mask - change)) / (2 * step)
    finally:
        net.training = False
    assert soft.grad is not None
    assert float(soft.grad[place]) == pytest.approx(slope, rel=0.1, abs=0.02)


@pytest.mark.parametrize(("block", "message"), [(6, "has 6 blocks"), (-1, "has 6 blocks")])
def test_a_gate_needs_blocks_before_and_after_it(block: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create("test_vit", "none", 160, block=block)


CONFIG = ModelConfig("test_vit", "none", gate=GateConfig(open=1.0), parts=PartsConfig(keep=(0, 1, 1), size=64))


def test_scapnet_on_a_vision_transformer_learns_everywhere() -> None:
    torch.manual_seed(0)
    model = build_model(CONFIG, 5, 160)
    assert isinstance(model, SCAPNet)
    images, target = torch.randn(4, 3, 160, 160), torch.tensor([0, 1, 2, 3])
    output = model.train()(images)
    assert (output.logits.shape, output.parts.boxes.shape) == ((4, 5), (4, 2, 4))
    model.make_loss(LossConfig())(output, target)["loss"].backward()
    still = {name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    assert not {name for name in still if name.startswith(("gate", "backbone", "classifier", "relation.query"))}
    model.start_parts_from_main()  # position embeddings of another size are resampled
    with torch.no_grad():
        assert model.eval()(images).probs.sum(1).allclose(torch.ones(4))


@torch.no_grad()
def test_dropped_tokens_cost_nothing() -> None:
    torch.manual_seed(0)
    alone = replace(CONFIG, parts=PartsConfig(enabled=False), relation=RelationConfig(enabled=False))
    model = build_model(alone, 5, 160)
    assert isinstance(model, SCAPNet)
    assert isinstance(model.backbone, TokenBackbone)
    assert model.gate is not None
    costs = []
    for bias in (9.0, -9.0):  # every unit is kept, or one of sixteen
        model.gate.fc2.bias.copy_(torch.tensor([-bias, bias]))
        costs.append(macs_of(model.eval(), 160))
    share_after = 1 - model.backbone.block / 6
    assert costs[1] / costs[0] == pytest.approx(1 - share_after * 15 / 16, abs=0.12)


def test_what_a_vision_transformer_cannot_have() -> None:
    with pytest.raises(ValueError, match=r"no stage 4; use --model\.gate\.mask stage3"):
        build_model(replace(CONFIG, gate=GateConfig(mask="stage4")), 5, 160)
    shared = ModelConfig("test_vit", "none", parts=PartsConfig(shared=True, size=64))
    with pytest.raises(ValueError, match="images of 160 px only"):
        build_model(shared, 5, 160)
    with pytest.raises(ValueError, match="ends in tokens"):
        create("test_vit", "none", 160).tail(torch.zeros(1, 64, 10, 10))


def test_positions_are_resampled_for_another_size() -> None:
    small, large = create("test_vit", "none", 64, cut=False), create("test_vit", "none", 160, cut=False)
    state = fit_positions(small.net, large.state_dict(), "net.")
    small.load_state_dict(state)
    assert state["net.pos_embed"].shape == (1, 1 + 16, 64)
    torch.testing.assert_close(state["net.pos_embed"][:, 0], large.state_dict()["net.pos_embed"][:, 0])
    known = large.state_dict()
    assert fit_positions(large.net, known, "net.") is known
