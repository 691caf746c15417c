"""The presets: functions that return the settings of a whole run. Command-line flags override single settings."""

from dataclasses import fields, replace

from scapnet.config import Config
from scapnet.config.data import DataConfig, SyntheticConfig
from scapnet.config.model import GateConfig, ModelConfig, PartsConfig, RelationConfig
from scapnet.config.train import LossConfig, TrainConfig
from scapnet.terminal.hints import option


def paper() -> Config:
    """The paper's SCAPNet: ResNet-50 from ImageNet, 448 px, parts of 224 px, every loss weight 1."""
    return Config("paper")


def dagger() -> Config:
    """SCAPNet-dagger of Table III: two-stage training and three heads in PRM."""
    base = paper()
    return replace(
        base,
        preset="dagger",
        model=replace(base.model, relation=RelationConfig(heads=3)),
        train=replace(base.train, stage1_epochs=20),
    )


def fgvc() -> Config:
    """The paper's network with the usual augmentation for CUB: resize to 600, random crop of 448, horizontal flip."""
    base = paper()
    return replace(base, preset="fgvc", data=replace(base.data, augment="fgvc", resize=600))


def strong() -> Config:
    """The preset fgvc with TrivialAugmentWide, random erasing and label smoothing of 0.1."""
    base = fgvc()
    data, loss = replace(base.data, augment="strong"), replace(base.loss, smoothing=0.1)
    return replace(base, preset="strong", data=data, loss=loss)


def photos() -> Config:
    """Your own photos: ResNet-50 at 448 px with a gate that starts open and closes slowly.

    The mask is applied to stage 4's output, and no part is a single unit of the grid. These choices come from trials
    on real photographs (docs/lab-notebook.md, "A recipe for photographs").
    """
    base = paper()
    return replace(
        base,
        preset="photos",
        model=replace(
            base.model, gate=GateConfig(mask="stage4", open=1.5), parts=replace(base.model.parts, keep=(0, 3, 2, 1))
        ),
        loss=replace(base.loss, act=0.05, act_ramp=(6.0, 18.0), con=0.1),
        train=replace(
            base.train, epochs=24, stage1_epochs=6, schedule="cosine", warmup_epochs=0.5, clip=10.0, pool=True
        ),
    )


def zoom() -> Config:
    """Photos of small objects: one part, cut from four times as many pixels a side as the view has.

    The gate has 8 x 8 units, and the part is a window of 3 x 3, so it shows 2.7 times the view's detail. In training
    the window is drawn by its score, and the scorer learns which windows are named right by themselves
    (`scapnet.losses.success_loss`): the class loss and L_act alone did not find the object (docs/lab-notebook.md,
    "Birds in large pictures", where the backbone was EfficientNet-Lite0 at 128 px). Half of the images of a batch are
    not masked, because a gate that closes before the classes are learned keeps them from being learned ("A gate that
    closed before the classes were learned" there).
    """
    base = photos()
    return replace(
        base,
        preset="zoom",
        data=replace(base.data, size=224, resize=252, source_size=896),
        model=replace(
            base.model,
            gate=GateConfig(grid=8, open=1.5, unmasked=0.5),
            parts=replace(base.model.parts, keep=(0, 0, 1, 0), strategy="sample"),
            relation=RelationConfig(enabled=False),
        ),
        loss=replace(base.loss, con=0.0, sub=0.5, success=1.0, act_ramp=(5.0, 8.0)),
        train=replace(base.train, epochs=8, stage1_epochs=1, part_start="main"),
    )


def demo() -> Config:
    """Drawn finches with the tiny backbone of this package: trains in a few minutes on two CPU cores."""
    return Config(
        "demo",
        DataConfig("finches", size=128, resize=128, rotation=0.0, synthetic=SyntheticConfig(mark_scale=0.8)),
        ModelConfig("test_resnet", "tiny", gate=GateConfig(open=1.5), parts=PartsConfig(size=64)),
        LossConfig(act=0.5, act_ramp=(2.0, 6.0)),
        TrainConfig(
            epochs=14,
            stage1_epochs=4,
            part_start="main",
            batch_size=32,
            lr=0.05,
            schedule="cosine",
            warmup_epochs=0.5,
            clip=5.0,
        ),
    )


def larks() -> Config:
    """The plain backbone on drawn larks, each picture seen once: how the package's tiny backbone was pretrained."""
    return Config(
        "larks",
        DataConfig(
            "finches",
            size=128,
            resize=128,
            rotation=0.0,
            synthetic=SyntheticConfig(family="lark", mark_scale=1.3, hide=0.05, train_length=120_000),
        ),
        ModelConfig("test_resnet", "none", "plain"),
        train=TrainConfig(
            epochs=1, batch_size=64, lr=0.1, schedule="cosine", warmup_epochs=0.03, clip=5.0, log_every=100
        ),
    )


PRESETS = {preset.__name__: preset for preset in (demo, photos, zoom, paper, dagger, fgvc, strong, larks)}

AS_PRINTED = ("paper", "dagger", "fgvc", "strong")  # every loss weight 1, a gate that starts half closed


def caution(config: Config) -> str | None:
    """What to know before a run of a preset starts; None for most presets.

    The figures are those of results/reproduce/grocery, Table IV (docs/evidence.md).
    """
    if config.preset not in AS_PRINTED or config.model.network != "scapnet":
        return None
    return (
        f"the losses and the gate of the preset {config.preset} are the paper's as printed; on photographs of groceries"
        " they were 11 to 29 points behind the backbone alone; the preset photos is safer for your own photos"
    )


MAIN = frozenset({"cls", "smoothing"})
LOSSES = {"plain": MAIN, "nts": MAIN | {"sub"}, "rra": MAIN | {"sub", "act", "act_ramp"}}  # of other networks


def without_effect(config: Config) -> str | None:
    """Names the losses and modules that differ from the preset's and change nothing in a run; None if there are none.

    The preset's own do not count: `scapnet train zoom --model.network plain` is how a baseline is trained.
    """
    model, preset = config.model, PRESETS.get(config.preset, paper)()
    used = LOSSES.get(model.network, frozenset(field.name for field in fields(LossConfig)))
    if not model.gate.enabled:
        used -= {"act", "act_ramp"}
    if model.network == "scapnet" and not model.parts.enabled:
        used &= MAIN | {"act", "act_ramp"}
    changed = [
        option(f"loss.{field.name}")
        for field in fields(LossConfig)
        if field.name not in used and getattr(config.loss, field.name) != getattr(preset.loss, field.name)
    ]
    if model.network == "plain":
        names = ("gate", "parts", "relation")
        changed += [f"--model.{name}.*" for name in names if getattr(model, name) != getattr(preset.model, name)]
    if not changed:
        return None
    return f"these settings have no effect on the network {model.network}: {', '.join(changed)}"


def get_preset(name: str) -> Config:
    """The settings of a preset: demo, photos, zoom, paper, dagger, fgvc, strong or larks.

    Change them with `dataclasses.replace`, for example
    ``replace(config, data=replace(config.data, root=Path("photos")))``.

    Raises:
        ValueError: there is no preset of this name.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; use one of {', '.join(PRESETS)}")
    return PRESETS[name]()
