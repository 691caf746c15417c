"""The losses and the training settings."""

from dataclasses import dataclass
from typing import Literal

from scapnet.config.checks import at_least, one_of, refuse


@dataclass(frozen=True)
class LossConfig:
    """Weights of Eq. 15, and how they change over the epochs."""

    cls: float = 1.0
    """alpha."""
    act: float = 1.0
    """beta."""
    con: float = 1.0
    """gamma."""
    sub: float = 1.0
    """lambda."""
    success: float = 0.0
    """Weight of the loss by which the scorer learns which parts are named right by themselves; not in the paper."""
    cam: float = 0.0
    """Weight of the loss by which the scorer learns where the main branch sees the right class; not in the paper."""
    act_ramp: tuple[float, float] = (0.0, 0.0)
    """Epochs between which beta grows from 0 to its value; (0, 0) has it from the first step, as the paper does."""
    margin: float = 0.1
    """Margin of Eq. 8."""
    smoothing: float = 0.0
    """Label smoothing."""
    distill: float = 0.0
    """Weight of the main branch's divergence from the mean of both, for use alone; not in the paper."""
    distill_tau: float = 2.0
    """Temperature of this divergence."""

    def __post_init__(self) -> None:
        at_least("loss.distill", self.distill, 0)
        at_least("loss.success", self.success, 0)
        at_least("loss.cam", self.cam, 0)
        if self.distill_tau <= 0:
            refuse(f"loss.distill_tau is {self.distill_tau}; a temperature must be positive")


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained."""

    epochs: int = 60
    """Total number of epochs; our choice, as the paper does not say."""
    stage1_epochs: int = 0
    """Number of first epochs that train only the main branch and the gate (two-stage training, Sec. IV-C)."""
    part_start: Literal["own", "main"] = "own"
    """Start the sub-network from its own weights, or at stage 2 from the main branch's."""
    batch_size: int = 16
    """Images per step and process; our choice, as the paper does not say for training. A run that is resumed on
    another number of processes keeps the images of a step, and so gives each process another share of them."""
    accumulate: int = 1
    """Number of steps whose gradients make one update."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """The paper uses SGD."""
    lr: float = 0.01
    """Initial learning rate."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 1e-4
    """Weight decay; our choice, as the paper does not say."""
    schedule: Literal["step", "cosine"] = "step"
    """Multiply the learning rate by `step_factor` every `step_epochs`, or follow a half cosine to 0."""
    step_epochs: int = 10
    """Epochs between two steps of the learning rate."""
    step_factor: float = 0.3
    """Factor of the learning rate at each step."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate grows from 0."""
    backbone_lr: float = 1.0
    """The backbones' learning rate as a multiple of `lr`."""
    layer_decay: float = 1.0
    """Factor from each layer of a backbone to the layer before it in learning rate."""
    freeze: int = 0
    """Number of first epochs with the backbones and their batch-norm statistics frozen; -1 freezes them throughout."""
    clip: float = 0.0
    """Largest gradient norm of each branch; 0 does not clip."""
    sync_bn: bool = False
    """Batch norm over the batches of all processes together, instead of each process's own."""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights, such as 0.999; the average is then scored and saved."""
    mixup: float = 0.0
    """Alpha of mixup, which blends two images; 0 switches it off."""
    cutmix: float = 0.0
    """Alpha of CutMix, which pastes a rectangle of another image; 0 switches it off."""
    snapmix: float = 0.0
    """Alpha of SnapMix, CutMix with labels by class activation maps (its authors use 5); 0 switches it off. With
    several of the three, each batch gets one of them."""
    balance: Literal["none", "weights", "sampler"] = "none"
    """For unequal class sizes: class weights in the losses, or a sampler that draws every class equally often."""
    patience: int = 0
    """Early stopping: end training with the best model after this many epochs without a better validation accuracy."""
    pool: bool = False
    """After training, weigh both branches in the answer by the validation images (`--model.parts.pool`); without parts,
    or without validation images, nothing changes."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""
    grad_checkpointing: bool = False
    """Compute the activations of the backbones' blocks again in the backward pass: less memory, more time."""
    seed: int = 0
    """Seed of the weights, the order, the augmentation and the noise."""
    log_every: int = 20
    """Steps between two lines of the log."""
    checkpoint_steps: int = 0
    """Steps between two checkpoints within an epoch; 0 writes one at the end of each epoch only."""
    tracker: Literal["none", "tensorboard", "wandb"] = "none"
    """Where else to send the numbers of log.jsonl; TensorBoard's files are in the run folder."""

    def __post_init__(self) -> None:
        if not self.lr >= 0:
            refuse(f"the learning rate is {self.lr}; it must not be negative")
        for name in ("epochs", "batch_size", "accumulate", "log_every"):
            at_least(f"train.{name}", getattr(self, name), 1)
        at_least("train.freeze", self.freeze, -1)
        for name in ("backbone_lr", "clip", "cutmix", "layer_decay", "mixup", "patience", "snapmix"):
            at_least(f"train.{name}", getattr(self, name), 0)
        one_of("train.balance", self.balance, ("none", "weights", "sampler"))
        one_of("train.tracker", self.tracker, ("none", "tensorboard", "wandb"))
        if not 0 <= self.ema < 1:
            refuse(f"train.ema is {self.ema}; a decay must be from 0 to below 1")
