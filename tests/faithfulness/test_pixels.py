"""What is left of the answers from open pixels alone."""

import pytest
import torch

from samples import NO_MODULES, make
from scapnet.data.synthetic.finches import Finches
from scapnet.data.transforms import EvalViews
from scapnet.faithfulness.pixels import measure_pixels, shuffled
from scapnet.faithfulness.table import show_faithfulness
from scapnet.masking import answer_from_open_pixels


def test_the_figures_are_those_of_each_photo() -> None:
    model, data = make(), Finches("test", 4, 5, 96)
    rows = [EvalViews(data, model.view)[i] for i in (0, 2, 4)]
    image, source = (torch.stack([row[key] for row in rows]) for key in ("image", "source"))
    index = torch.tensor([0, 2, 4])
    assert model.gate is not None
    with torch.no_grad():
        logits = model(image, source).gate.logits
        model.gate.fc2.bias[1] -= (logits[..., 1] - logits[..., 0]).quantile(0.5)  # half of the units are closed
        said = model(image, source, index)
        random = torch.cat([shuffled(said.gate.mask[i : i + 1], int(index[i])) for i in range(3)])
        strict = [
            answer_from_open_pixels(
                model, image, source, index, said._replace(gate=said.gate._replace(mask=mask))
            ).probs
            for mask in (said.gate.mask, random)
        ]
    found = measure_pixels(model, data, 3)
    assert found is not None
    assert found["images"] == 3
    labels = said.probs.argmax(1)
    expected = {"kept": said.gate.mask.mean(), "probability": said.probs.amax(1).mean()}
    torch.testing.assert_close({key: torch.tensor(found[key]) for key in expected}, expected, rtol=1e-4, atol=1e-5)
    for name, probs in zip(("open", "random"), strict, strict=True):
        mean = float(probs.gather(1, labels[:, None]).mean())
        torch.testing.assert_close(found[name]["probability"], mean, rtol=1e-4, atol=1e-5)
        assert found[name]["same"] == float((probs.argmax(1) == labels).float().double().mean())
    assert found["open"]["probability"] != found["random"]["probability"]
    assert measure_pixels(model, data, 3) == found


def test_the_line_has_each_figure_in_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    after = {"open": {"same": 0.76, "probability": 0.43}, "random": {"same": 0.12, "probability": 0.08}}
    show_faithfulness({"pixels": {"images": 9, "kept": 0.27, "probability": 0.52, **after}})
    assert " ".join(capsys.readouterr().out.split()) == (
        "from the pixels of the open units alone (0.27 of the grid) 0.76 of the answers stay, with a probability of "
        "0.43 instead of 0.52; of as many random units 0.12, with 0.08"
    )


def test_random_places_have_as_many_open_units() -> None:
    mask = (torch.arange(16) < 5).float().view(1, 4, 4)
    found = [shuffled(mask, seed) for seed in range(20)]
    assert all(one.sum() == 5 and one.shape == mask.shape for one in found)
    assert torch.stack(found).mean(0).min() > 0
    assert torch.equal(shuffled(mask, 3), found[3])


def test_a_network_that_closes_nothing_has_no_figures() -> None:
    for model in (make(**NO_MODULES), make(gate__mask_in_evaluation=False), make(gate__mode="soft")):
        assert measure_pixels(model, Finches("test", 4, 2, 96), 2) is None
