"""One object that predicts photos of any kind and number, with any engine."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import ModelHubMixin
from torch import nn

from scapnet.backbones.weights import model_folder
from scapnet.checkpoint import MODEL_FILES, save_pretrained
from scapnet.data.files import Listing, describe_skipped
from scapnet.data.inputs import Photo
from scapnet.data.sources import Photos, counted, each_photo, is_one
from scapnet.decision import calibration_of
from scapnet.engine import ENGINES, Engine, TorchEngine, auto_engine, check_engine, file_engine
from scapnet.masking import check_mask_pixels
from scapnet.metrics.skipping import PartsFor
from scapnet.network import Network
from scapnet.predict import AtLeast, PredictOptions, predict_stream, predict_views, read_view
from scapnet.prediction import Prediction, Skipped
from scapnet.terminal.console import ProgressBar

GRAPHS = "only the engines torch and folded can mask the pixels of closed units; use one of them"


class Predictor(ModelHubMixin):
    """A trained model that answers photos.

    ``save_pretrained`` and ``push_to_hub`` are those of `huggingface_hub.ModelHubMixin`; they write the model folder
    with its card.

    Args:
        model: a network with its ``classes`` and ``view``, or an engine; see `scapnet.engine`.
        top: how many classes to name.
        batch_size: photos that go through the network at a time.
        at_least: the answer is "unknown" below this probability; "auto" is the model's own threshold.
        tta: average each answer with that for the mirrored photo.
        features: keep the main branch's features (D,) of each photo.
        workers: threads that decode files ahead; by default as many as cores, at most four. 0 takes a photo when its
            batch needs it and no sooner, as photos that are still being made want it.
        parts_for: look at the parts of "all" photos, of "none", of the "unsure" ones, whose main branch is less sure
            than the model's own threshold, or of those below a probability. The others have the main branch's answer,
            at its cost, and no parts. For the engines torch and folded only.
        error_rate: answer with a set of classes that misses the true one this often, or with the coarser class that all
            of them belong to; see `scapnet.metrics.conformal`.
        false_alarms: the answer is "unknown" for photos that look less familiar than all but this share of the
            validation photos; see `scapnet.metrics.unknowns`.
        mask_pixels: answer twice, the second time with the pixels of the units that the gate closed in the mean colour,
            so that they cannot change the answer; see `scapnet.masking`. Gate and parts are those of the first time.
            For the engines torch and folded only, and with nothing that was set on ordinary answers.

    Raises:
        ValueError: a number that does not fit, a threshold or calibration that the model does not have, or settings
            that do not go together.
    """

    def __init__(
        self,
        model: Network | Engine,
        top: int = 5,
        batch_size: int = 16,
        at_least: AtLeast = None,
        tta: bool = False,
        features: bool = False,
        workers: int | None = None,
        parts_for: PartsFor = "all",
        error_rate: float | None = None,
        false_alarms: float | None = None,
        mask_pixels: bool = False,
    ) -> None:
        self.engine = TorchEngine(cast(Network, model)) if isinstance(model, nn.Module) else cast(Engine, model)
        if parts_for != "all" and not isinstance(self.engine, TorchEngine):
            raise ValueError(
                "only the engines torch and folded can skip parts; use one of them, or look at the parts of all photos"
            )
        if mask_pixels:
            if not isinstance(self.engine, TorchEngine):
                raise ValueError(GRAPHS)
            set_before = at_least == "auto" or error_rate is not None or false_alarms is not None
            check_mask_pixels(self.engine.model, tta, parts_for != "all", set_before)
        if isinstance(self.engine, TorchEngine) and (parts_for != "all" or mask_pixels):
            self.engine = self.engine.with_options(parts_for, mask_pixels)
        self.options = PredictOptions(top, batch_size, at_least, tta, features, workers, error_rate, false_alarms)
        self.folder: Path | None = None  # the model folder that it was loaded from
        self.options.rules.check(self.engine)
        if false_alarms is not None and parts_for != "all" and calibration_of(self.engine).weights[-1]:
            raise ValueError(
                "whether a photo looks unknown to this model is judged by its parts, too; look at the parts of all "
                "photos"
            )

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the mixin's reads config.json, which in a run folder is the run's
        cls,
        path: Path | str,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: Path | str | None = None,
        device: torch.device | str | None = None,
        engine: str = "torch",
        **settings: Any,
    ) -> "Predictor":
        """A predictor with a trained model; no code of the folder is run.

        Args:
            path: a run folder, a model folder, a Hugging Face hub id ("owner/name"), or a file that
                `scapnet.export_model` wrote for views.
            revision: a branch, tag or commit of the hub's repository.
            token: for a private repository; True takes the one that ``hf auth login`` stored.
            cache_dir: where what the hub gives is kept, by default the cache of `huggingface_hub`.
            device: where to run, such as "cpu" or "cuda:1"; by default the machine's accelerator, or the CPU.
            engine: what runs the network: "torch"; "folded", PyTorch with batch norm folded into the convolutions, in
                bf16 where the processor has it in hardware; "onnx" or "openvino"; "int8", for a run; or "auto", the
                fastest of them here that keeps the answers (`scapnet.engine.chosen_way`). An exported file has its own.
            settings: of the `Predictor`, such as ``top=3``.

        Raises:
            ValueError: no model there, no such device or engine, or a setting that does not fit.
        """
        check_engine(engine)
        own = ("parts_for", "mask_pixels")
        PredictOptions(**{name: value for name, value in settings.items() if name not in own})  # before a download
        made, folder = file_engine(Path(path)), None
        if made is None and settings.get("mask_pixels") and engine not in ("torch", "folded", "auto"):
            raise ValueError(GRAPHS)  # before an export
        if made is None:
            folder = model_folder(path, revision=revision, token=token, cache_dir=cache_dir)
            # A graph can neither skip parts nor mask pixels.
            graphs = settings.get("parts_for", "all") == "all" and not settings.get("mask_pixels", False)
            made = auto_engine(folder, device, graphs) if engine == "auto" else ENGINES[engine](folder, device)
        found = cls(made, **settings)
        found.folder = folder
        return found

    def save_pretrained(self, save_directory: Path | str, **options: Any) -> str | None:
        """Write a model folder; see `huggingface_hub.ModelHubMixin.save_pretrained`.

        Args:
            save_directory: where.
            options: of the mixin, such as ``push_to_hub`` and ``repo_id``.

        Raises:
            ValueError: it is the folder that the model was loaded from, or the engine has no folder.
        """
        if self.folder is not None and Path(save_directory).resolve() == self.folder.resolve():
            raise ValueError(f"the model is in {save_directory} already; give another folder")
        found: str | None = super().save_pretrained(save_directory, **options)
        return found

    def _save_pretrained(self, save_directory: Path) -> None:
        """What the mixin calls, also before it uploads."""
        if self.folder is not None:
            for file in self.folder.iterdir():
                if file.name in MODEL_FILES:
                    shutil.copyfile(file, save_directory / file.name)
        elif isinstance(self.engine, TorchEngine):
            save_pretrained(self.engine.model, save_directory)
        else:
            raise ValueError("this engine was not loaded from a model folder; save the model that it was made from")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self.engine.classes

    def __call__(self, photos: Photos, progress: bool = False) -> Any:
        """Predict one photo, or any number of them. `predict_one` and `stream` do the same with one type each.

        Args:
            photos: a path, bytes of a file, a file opened in mode "rb", a Pillow image, a numpy array (H, W, 3), a
                torch tensor (3, H, W), or an address on this machine (``file://``, ``http://localhost``); or many: a
                folder, a pattern ("photos/*.jpg"), a batch (B, 3, H, W) or (B, H, W, 3), a list, a generator or any
                other collection of all these.
            progress: show a bar on stderr; for many photos.

        Returns:
            For one photo what `predict_one` returns, for many what `stream` returns.

        Raises:
            ValueError: a path that does not exist, or something that is no photo.
        """
        return self.predict_one(cast(Photo, photos)) if is_one(photos) else self.stream(photos, progress)

    def predict_one(self, photo: Photo) -> Prediction | Skipped:
        """The prediction for one photo, or why it cannot be read.

        Raises:
            ValueError: a path that does not exist, or something that is no photo.
        """
        (one,) = each_photo(photo, Listing())
        found = read_view(one, self.engine.view)
        return found if isinstance(found, Skipped) else predict_views(self.engine, [found], self.options)[0]

    def stream(self, photos: Photos, progress: bool = False) -> Iterator[Prediction | Skipped]:
        """Predictions for any number of photos, which are read while the result is used, in constant memory.

        Args:
            photos: as `__call__` takes them.
            progress: show a bar on stderr.

        Returns:
            A `Prediction` for each photo in order, and a `Skipped`, ahead of its batch, for each that cannot be read.

        Raises:
            ValueError: a path that does not exist, at once for all but those of an iterator; something that is no
                photo, at its turn.
        """
        listing = Listing()
        found = each_photo(photos, listing)
        return self._with_bar(found, listing) if progress else predict_stream(self.engine, found, self.options)

    def _with_bar(self, photos: Iterator[Photo], listing: Listing) -> Iterator[Prediction | Skipped]:
        with ProgressBar("images") as bar:
            photos, total = counted(photos)
            bar.start("photos", total)
            for one in predict_stream(self.engine, photos, self.options):
                bar.advance(1)
                yield one
            for phrase in describe_skipped(listing.skipped):
                bar.note(f"skipped: {phrase}")
