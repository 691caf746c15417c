"""For every network the shares of an explanation sum to the answer, and each belongs to the part that it names."""

import json
import math
from typing import Any

import pytest
import torch
from torch import nn

from samples import NAMES, make, model_with, painted
from scapnet.build import build_model
from scapnet.config import ModelConfig, PartsConfig, ViewConfig
from scapnet.explain import Explanation, class_number, explain
from scapnet.explain.evidence import logarithmic_mean
from scapnet.predict import predict_photo

TINY = ModelConfig("test_resnet", "none", parts=PartsConfig(size=32))
NTS = model_with(TINY, network="nts", gate__enabled=False, relation__enabled=False)
RRA = model_with(TINY, network="rra", gate__enabled=False, relation__enabled=False, parts__keep=(0, 2))
CONFIGS = {
    "scapnet": TINY,
    "each": model_with(TINY, parts__classifier="each", relation__enabled=False),
    "concat": model_with(TINY, parts__classifier="concat"),
    "shared": model_with(TINY, parts__shared=True),
    "pool": model_with(TINY, parts__pool=(0.3, 0.9)),
    "concat-pool": model_with(TINY, parts__classifier="concat", parts__pool=(0.3, 0.9)),
    "gate": model_with(TINY, parts__enabled=False, relation__enabled=False),
    "nts": NTS,
    "nts-prm": model_with(NTS, relation__enabled=True),
    "rra": RRA,
    "rra-gate": model_with(RRA, gate__enabled=True),
    "plain": model_with(TINY, network="plain"),
}


def network(name: str, size: int = 128) -> Any:
    torch.manual_seed(1)
    model: Any = build_model(CONFIGS[name], len(NAMES), size)
    model.view, model.classes = ViewConfig(size, size), NAMES
    with torch.no_grad():
        for part in ("classifier", "part_classifier", "scrutinizer"):
            if isinstance(module := getattr(model, part, None), nn.Module):
                for parameter in module.parameters():
                    parameter.normal_(0, 0.5)
    return model.eval()


def total(found: Explanation) -> float:
    return found.whole.share + sum(part.share for part in found.parts) + found.bias


@pytest.mark.parametrize("name", CONFIGS)
def test_the_shares_sum_to_the_answer_of_predict(name: str) -> None:
    model, photo = network(name), painted(150, 130)
    said = predict_photo(model, photo, top=len(NAMES))
    found = explain(model, photo)
    assert (found.answer, found.versus) == said.names[:2]
    assert found.probability == pytest.approx(said.probabilities[0], abs=1e-5)
    assert found.versus_probability == pytest.approx(said.probabilities[1], abs=1e-5)
    assert total(found) == pytest.approx(found.difference, abs=1e-12)
    assert [part.box for part in found.parts] == [part.box for part in said.parts]
    assert len(found.parts) == (0 if name in ("plain", "gate") else 2 if "rra" in name else 6)
    if found.parts:
        assert found.embeddings is not None
        assert len(found.embeddings) == len(found.parts)
        assert len({part.share for part in found.parts}) > 1
    else:
        assert "no parts" in found.sentence()


@pytest.mark.parametrize("name", ["scapnet", "nts", "rra"])
def test_the_other_way_round_every_share_changes_its_sign(name: str) -> None:
    model, photo = network(name), painted(150, 130)
    one, other = explain(model, photo, "Häher", "crow"), explain(model, photo, "crow", "Häher")
    assert one.difference == -other.difference
    for a, b in zip((one.whole, *one.parts), (other.whole, *other.parts), strict=True):
        assert a.share == pytest.approx(-b.share, abs=1e-12)
        assert (a.answer, a.versus) == (b.versus, b.answer)
        assert a.share * (a.answer - a.versus) >= 0  # the sign of its own preference


def test_the_formula_is_the_loop() -> None:
    model, photo = make(), painted(80, 90)
    outputs: list[Any] = []
    handle = model.register_forward_hook(lambda _, __, output: outputs.append(output))
    found = explain(model, photo)
    handle.remove()
    a, b = NAMES.index(found.answer), NAMES.index(found.versus)
    main, parts = outputs[0].logits[0].tolist(), outputs[0].part_logits[0].tolist()
    mean = [sum(row[k] for row in parts) / len(parts) for k in range(len(NAMES))]

    def softmax(logits: list[float]) -> list[float]:
        top = [math.exp(one) for one in logits]
        return [one / sum(top) for one in top]

    def weight(logits: list[float]) -> float:
        q = softmax(logits)
        return 0.5 * (q[a] - q[b]) / (logits[a] - logits[b])

    assert found.whole.share == pytest.approx(weight(main) * (main[a] - main[b]))
    for part, row in zip(found.parts, parts, strict=True):
        assert part.share == pytest.approx(weight(mean) * (row[a] - row[b]) / len(parts))
        assert part.answer - part.versus == pytest.approx((row[a] - row[b]) / len(parts))


@pytest.mark.parametrize(("name", "module"), [("nts", "scrutinizer"), ("concat", "part_classifier.linear")])
def test_a_part_that_a_joint_classifier_does_not_read_has_no_share(name: str, module: str) -> None:
    model, photo = network(name), painted(150, 130)
    before = explain(model, photo, 0, 1)
    linear = model.get_submodule(module)
    blocks = linear.weight.shape[1] // model.backbone.dim
    with torch.no_grad():
        linear.weight.view(len(NAMES), blocks, -1)[:, 2] = 0
    found = explain(model, photo, 0, 1)
    assert found.parts[2].share == 0
    assert before.parts[2].share != 0
    for m in (0, 1, 3):  # their logits are what they were
        assert found.parts[m].answer == pytest.approx(before.parts[m].answer)
    if name == "nts":  # the Scrutinizer reads the four most informative proposals
        assert [part.share != 0 for part in before.parts] == [True] * 4 + [False] * 2


def test_a_patch_of_rra_has_the_share_of_its_own_steps() -> None:
    model, photo = network("rra"), painted(150, 130)
    before = explain(model, photo, 0, 1)
    steps = model.recurrent.steps

    def silence(_: nn.Module, __: Any, output: Any) -> Any:  # the second patch's outputs become zero
        found = output[0].clone()
        found[:, steps:] = 0
        return found, output[1]

    attention = model.recurrent.attention  # which must give the weights that it gave
    kept = [model.recurrent.lstm.register_forward_hook(silence)]
    weights = [torch.zeros(1, 2 * steps, 1)]
    kept.append(attention.register_forward_hook(lambda *_: weights[0]))
    silent = explain(model, photo, 0, 1)
    for handle in kept:
        handle.remove()
    assert silent.parts[1].share == 0
    assert before.parts[1].share != 0
    assert silent.parts[0].share != 0


def test_an_answer_of_another_kind_is_refused() -> None:
    model = make()
    handle = model.register_forward_hook(lambda _, __, output: output._replace(probs=output.probs.flip(1)))
    with pytest.raises(ValueError, match="is not the mean of its branches"):
        explain(model, painted(80, 90))
    handle.remove()


def test_two_times_the_same_class_is_refused() -> None:
    model, photo = make(), painted(80, 90)
    best = explain(model, photo).answer
    with pytest.raises(ValueError, match=f"the answer is {best} itself; omit versus"):
        explain(model, photo, best)
    with pytest.raises(ValueError, match="name two different classes"):
        explain(model, photo, 2, 2)


def test_classes_are_found_by_what_a_person_writes() -> None:
    classes = ("Royal-Gala", "Pink_Lady", "Gala", "001.Black_footed_Albatross", "Granny Smith")
    for name, k in [("royal gala", 0), ("pink lady", 1), ("Gala", 2), ("black footed", 3), ("GRANNY_SMITH", 4)]:
        assert class_number(classes, name) == k
    assert class_number(classes, 3) == 3
    with pytest.raises(ValueError, match="did you mean Granny Smith"):
        class_number(classes, "grany smit")
    with pytest.raises(ValueError, match=r"matches several classes \(Royal-Gala, Pink_Lady"):
        class_number(classes, "a")
    with pytest.raises(ValueError, match="no class 'zzzz'; it has Royal-Gala"):
        class_number(classes, "zzzz")
    with pytest.raises(ValueError, match="no class 5"):
        class_number(classes, 5)


def test_the_text_and_the_json_of_an_explanation() -> None:
    found = explain(make(), painted(80, 90))
    lines = found.table().splitlines()
    assert len(lines) == 1 + 1 + len(found.parts) + 1
    assert lines[-1].split() == [f"{100 * found.difference:+.1f}", "difference"]
    values = json.loads(json.dumps(found.to_dict()))
    assert values["difference"] == found.difference
    assert values["parts"][0]["share"] == found.parts[0].share
    assert "embeddings" not in values


def test_the_logarithmic_mean_near_equality() -> None:
    for ratio in (0.0, 1e-12, 1e-5, 0.99e-4, 1.01e-4, 0.1, 30.0, 800.0):
        x = torch.tensor(0.3, dtype=torch.double)
        found = float(logarithmic_mean(x, torch.tensor(ratio, dtype=torch.double)))
        expected = 0.3 * (-math.expm1(-ratio) / ratio if ratio else 1.0)
        assert found == pytest.approx(expected, rel=1e-9)
