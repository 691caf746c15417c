"""The recipe of each data set, a few settings of which change with a table's row, and what differs between seeds."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from scapnet.config import Config, DataConfig, DataName, GateConfig, LossConfig, ModelConfig, PartsConfig, TrainConfig
from scapnet.data.info import PublishedSizes
from scapnet.data.load import dataset_info
from scapnet.presets import demo, paper, photos, zoom

PAPER = ("cub", "aircraft", "veg200", "fru92", "vegfru")
OURS = ("finches", "grocery", "cub100")  # recipes for data sets that are not in the paper
SMALL = ("large-birds", "small-finches")  # the same of small objects in large pictures, for the frontier alone
DRAWN = ("finches", "small-finches")  # which need no folder
CUB100 = PublishedSizes("the training half of 100 classes of CUB-200-2011, cut out by their boxes", 100, 2999)
FOLDS = 5  # the last fold is for trials: counted runs never hold it out
FIRST_SEED = 1000  # of counted runs; smaller seeds are for trials, so that counted test images are new


def finches() -> Config:
    """The preset `demo` in mixed precision, with 5,000 test images."""
    base = demo()
    return replace(
        base,
        data=replace(base.data, synthetic=replace(base.data.synthetic, test_length=5000), workers=1),
        train=replace(base.train, precision="bf16", log_every=10**6),
    )


def grocery() -> Config:
    """Grocery Store photos, MobileNetV2 from ImageNet at 128 px, cross-validation over training and validation photos.

    Each product fills its photo. The mask is applied to stage 4's output, because masking its input cost the main
    branch up to five points; no part is a single unit, which would only show a scrap of packaging; and the sub-network
    starts from ImageNet: in the only trial, starting it from the main branch was as good for the parts alone, but they
    then shared more mistakes with the main branch. docs/lab-notebook.md has the trials.
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


def cub100() -> Config:
    """Birds of 100 classes of CUB, EfficientNet-Lite0 from ImageNet at 128 px, cross-validation.

    The preset `photos` with three parts of 96 px from a 224 px view instead of six, a first stage as long as the second
    one and a sub-network that starts from the main branch: what was best in trials at equal training compute
    (docs/lab-notebook.md, "A long first stage"). The data is CUB's own folder with the training half of some classes,
    so there is no test split; and as it is scored on the photos held out, these must not weigh its branches.
    """
    base = photos()
    return replace(
        base,
        data=DataConfig("cub", size=128, resize=144, source_size=224, folds=FOLDS, workers=1),
        model=replace(
            base.model,
            backbone="tf_efficientnet_lite0",
            parts=replace(base.model.parts, keep=(0, 2, 1, 0), size=96),
        ),
        loss=replace(base.loss, act_ramp=(2.0, 6.0)),
        train=replace(base.train, epochs=8, stage1_epochs=4, part_start="main", log_every=50, pool=False),
    )


def large_birds() -> Config:
    """The birds of cub100, each a tenth of a large picture (benchmarks/large_birds.py), by the settings of `zoom`.

    EfficientNet-Lite0 from ImageNet at 128 px, the mask on stage 3's input, where the map has the gate's 8 x 8 units,
    and one part of 144 px from a 512 px view, which is 192 px of it made smaller. It costs as much as the backbone at
    192 px. Every training image is masked, as it was in `zoom` when the rows of the frontier were run.
    """
    base, close = zoom(), cub100()
    model = replace(
        base.model,
        backbone=close.model.backbone,
        gate=replace(base.model.gate, mask="stage3", unmasked=0.0),
        parts=replace(base.model.parts, size=144),
    )
    train = replace(base.train, log_every=50, pool=False)
    return replace(base, data=replace(close.data, source_size=512), model=model, train=train)


def small_finches() -> Config:
    """The finches at 0.6 of their size, a tenth of the picture each, by the settings of `zoom`.

    One part of 144 px, half of the side of a picture of 288 px, so SCAPNet costs a little more than the backbone at
    192 px. Every training image is masked, as for the large birds.
    """
    base, close = finches(), zoom()
    birds = replace(base.data.synthetic, train_length=3000, bird_scale=0.6, mark_scale=1.0)
    parts = replace(close.model.parts, keep=(0, 0, 0, 1), size=144)
    return replace(
        base,
        data=replace(base.data, source_size=288, synthetic=birds),
        model=replace(
            base.model,
            gate=replace(close.model.gate, unmasked=0.0),
            parts=parts,
            relation=close.model.relation,
        ),
        loss=replace(close.loss, act_ramp=(8.0, 14.0)),
        train=replace(base.train, stage1_epochs=2),
    )


def published(data: str) -> Config:
    """The paper's own recipe for one of its data sets, with checkpoints within an epoch."""
    base = paper()
    return replace(
        base, data=replace(base.data, name=cast(DataName, data)), train=replace(base.train, checkpoint_steps=200)
    )


def recipe_of(data: str, root: Path | None, weights: str | None = None) -> Config:
    """The recipe of a data set.

    Args:
        data: finches, grocery, cub100, large-birds, small-finches, or one of the paper's data sets.
        root: folder of the data set; for the finches, of their image cache.
        weights: a file to use instead of the weights that the recipe would download.

    Raises:
        ValueError: the data set has no recipe.
    """
    own = dict(zip((*OURS, *SMALL), (finches, grocery, cub100, large_birds, small_finches), strict=True))
    if data in PAPER:
        config = published(data)
    elif data in own:
        config = own[data]()
    else:
        raise ValueError(f"there is no recipe for {data!r}; choose one of {', '.join((*own, *PAPER))}")
    model = replace(config.model, weights=weights) if weights else config.model
    return replace(config, preset=data, data=replace(config.data, root=root), model=model)


def sizes_of(config: Config) -> PublishedSizes:
    """Classes and photos of a data set with a recipe, except the finches, which are drawn."""
    return CUB100 if config.preset in ("cub100", "large-birds") else dataset_info(config.data.name).counts[0]


def classes_of(config: Config) -> int:
    """K of a data set, as its recipe uses it or as it is published."""
    if config.data.name == "finches":
        return config.data.synthetic.num_classes
    found = sizes_of(config).classes
    assert found is not None  # every data set with a recipe is published
    return found


def with_seed(config: Config, seed: int) -> Config:
    """The config for seed 0, 1, ...: other weights, order and noise, and other test images if possible."""
    data, train = config.data, replace(config.train, seed=FIRST_SEED + seed)
    if data.name == "finches":
        data = replace(data, seed=FIRST_SEED + seed)
    elif data.folds:
        data = replace(data, fold=seed % (data.folds - 1), seed=FIRST_SEED)
    return replace(config, data=data, train=train)


def for_machine(config: Config) -> Config:
    """A config in a precision that is fast on this machine.

    On a GPU bf16, or fp16 if the GPU would emulate bf16. On a CPU the config's own, but float32 instead of bf16 without
    AVX-512: emulation took eight to nine times as long. Results differ by rounding, and a table's page says which runs
    were trained in which precision.
    """
    precision = config.train.precision
    if torch.cuda.is_available():
        precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    elif precision == "bf16" and not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        precision = "no"
    return replace(config, train=replace(config.train, precision=precision))
