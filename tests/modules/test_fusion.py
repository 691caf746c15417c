"""The answer of two branches: the paper's mean, and a weighted pool of their logits."""

import pytest
import torch

from samples import make, painted
from scapnet.data.images import to_tensor
from scapnet.modules.fusion import fused_answer, spread_rows

MAIN = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)) * 3
PARTS = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(1)) * 3


def test_the_answer_is_the_mean_of_both_softmaxes() -> None:
    for answer, main, parts in zip(fused_answer(MAIN, PARTS), MAIN, PARTS, strict=True):
        expected = [(main.softmax(0)[k] + (parts.sum(0) / 3).softmax(0)[k]) / 2 for k in range(4)]
        torch.testing.assert_close(answer, torch.stack(expected))


@pytest.mark.parametrize("pool", [(0.5, 0.5), (0.2, 1.3), (1.0, 0.0), (0.0, 1.0)])
def test_a_pool_is_a_product_of_powers(pool: tuple[float, float]) -> None:
    """softmax(a main + b parts) is p_main^a p_parts^b, scaled so that each row sums to 1."""
    powers = MAIN.double().softmax(1) ** pool[0] * PARTS.double().mean(1).softmax(1) ** pool[1]
    expected = powers / powers.sum(1, keepdim=True)
    torch.testing.assert_close(fused_answer(MAIN, PARTS, pool).double(), expected, rtol=1e-5, atol=1e-7)


def test_half_precision_is_added_in_float32() -> None:
    half = fused_answer(MAIN.bfloat16(), PARTS.bfloat16(), (0.4, 0.7))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.sum(1), torch.ones(5))


@torch.no_grad()
def test_a_network_answers_with_its_pool() -> None:
    model, images = make(), torch.stack([to_tensor(painted(64, 64, i)).float() / 255 for i in range(3)])
    before = model(images)
    model.set_pool((0.25, 0.75))
    after = model(images)
    assert torch.equal(before.logits, after.logits)
    assert after.pool == model.config.parts.pool == (0.25, 0.75)
    torch.testing.assert_close(after.probs, fused_answer(after.logits, after.part_logits, (0.25, 0.75)))
    assert not torch.allclose(after.probs, before.probs)
    some = model(images, sure=float(before.logits.softmax(1).amax(1).median()) + 1e-6)
    assert some.looked.tolist().count(True) == 2
    torch.testing.assert_close(some.probs[some.looked], after.probs[some.looked])
    torch.testing.assert_close(some.probs[~some.looked], after.logits.softmax(1)[~some.looked])


def test_rows_are_spread_and_the_others_are_empty() -> None:
    where = torch.tensor([False, True, True])
    found = spread_rows(torch.tensor([[1.0], [2.0]]), where)
    assert found.isnan().tolist() == [[True], [False], [False]]
    assert found[1:].tolist() == [[1.0], [2.0]]
    assert spread_rows(torch.tensor([3, 4]), where).tolist() == [0, 3, 4]
