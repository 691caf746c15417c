"""The recipe of each data set, from which a table's rows differ, and what changes from seed to seed."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from scapnet.config import Config, DataConfig, DataName, GateConfig, LossConfig, ModelConfig, PartsConfig, TrainConfig
from scapnet.data.load import dataset_info
from scapnet.presets import demo, paper

PAPER = ("cub", "aircraft", "veg200", "fru92", "vegfru")
FOLDS = 5  # of which the last one is for trials: its photos are never held out in a counted run; dealt alike for all
FIRST_SEED = 1000  # counted runs; smaller seeds are for trials, so that none of their pictures is seen twice


def finches() -> Config:
    """The preset `demo` in mixed precision, with 5,000 test pictures."""
    base = demo()
    return replace(
        base,
        data=replace(base.data, synthetic=replace(base.data.synthetic, test_length=5000), workers=1),
        train=replace(base.train, precision="bf16", log_every=10**6),
    )


def grocery() -> Config:
    """Photographs of groceries with MobileNetV2 from ImageNet at 128 px, folds over train and validation together.

    A product fills its photo. Stage 4 sees all of it and the gate masks what comes out, because a masked map that goes
    in cost the main branch up to five points; no part is a single unit, which is a scrap of packaging; and the
    sub-network starts from ImageNet: started from the main branch it was as good alone in the one trial made, but
    shared more of its mistakes. The trials are in docs/lab-notebook.md.
    """
    return Config(
        "grocery",
        DataConfig("grocery", size=128, resize=144, source_size=256, folds=FOLDS, fold_by="neighbours", workers=1),
        ModelConfig(
            backbone="mobilenetv2_100",
            gate=GateConfig(mask="stage4", open=1.5),
            parts=PartsConfig(keep=(0, 3, 2, 1), size=96),
        ),
        LossConfig(act=0.05, act_ramp=(2.0, 6.0), con=0.1),
        TrainConfig(epochs=8, stage1_epochs=2, schedule="cosine", warmup_epochs=0.5, clip=10.0, log_every=50),
    )


def published(data: str) -> Config:
    """The paper's own recipe on one of its data sets, with checkpoints within an epoch."""
    base = paper()
    return replace(
        base, data=replace(base.data, name=cast(DataName, data)), train=replace(base.train, checkpoint_steps=200)
    )


def recipe_of(data: str, root: Path | None, weights: str | None = None) -> Config:
    """The recipe of a data set.

    Args:
        data: finches, grocery, or one of the paper's.
        root: where it lies; the finches keep their pictures there.
        weights: a file instead of the weights that the recipe would download.

    Raises:
        ValueError: a data set without a recipe.
    """
    if data in PAPER:
        config = published(data)
    elif data in ("finches", "grocery"):
        config = finches() if data == "finches" else grocery()
    else:
        raise ValueError(f"there is no recipe for {data!r}; choose one of finches, grocery, {', '.join(PAPER)}")
    model = replace(config.model, weights=weights) if weights else config.model
    return replace(config, preset=data, data=replace(config.data, root=root), model=model)


def classes_of(config: Config) -> int:
    """K of a data set, as its recipe uses it or as it is published."""
    if config.data.name == "finches":
        return config.data.synthetic.num_classes
    found = dataset_info(config.data.name).counts[0].classes
    assert found is not None  # every data set with a recipe is published
    return found


def with_seed(config: Config, seed: int) -> Config:
    """A config of one of the seeds 0, 1, ...: new weights, order and noise, and other pictures where there are any."""
    data, train = config.data, replace(config.train, seed=FIRST_SEED + seed)
    if data.name == "finches":
        data = replace(data, seed=FIRST_SEED + seed)
    elif data.folds:
        data = replace(data, fold=seed % (data.folds - 1), seed=FIRST_SEED)
    return replace(config, data=data, train=train)


def for_machine(config: Config) -> Config:
    """A config in the precision that its machine computes fast.

    bf16 on a GPU, or fp16 where the GPU would emulate bf16. On a CPU the config's own, but float32 where bf16 would be
    emulated without AVX-512, which took eight to nine times as long. What comes out differs by rounding, and a table
    says where its runs were made in more than one way.
    """
    own = config.train.precision
    if torch.cuda.is_available():
        own = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    elif own == "bf16" and not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        own = "no"
    return replace(config, train=replace(config.train, precision=own))
