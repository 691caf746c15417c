"""The commands that answer photos and show why: predict, show and explain."""

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from scapnet.allocator import quick_imports
from scapnet.cli.places import DataRoot, DataTable


def predict(
    model: Positional[str],
    photos: Positional[list[str]],
    format: Literal["table", "json", "csv"] | None = None,
    out: Path | None = None,
    top: int = 5,
    batch_size: int = 16,
    at_least: float | Literal["auto"] | None = None,
    false_alarms: float | None = None,
    error_rate: float | None = None,
    tta: bool = False,
    parts: float | Literal["all", "unsure", "none"] = "all",
    features: Path | None = None,
    engine: Literal["torch", "folded", "onnx", "openvino", "int8", "auto"] = "torch",
    shard: str | None = None,
    mask_pixels: bool = False,
) -> None:
    """Classify photos, with probabilities and the parts that the answers rest on.

    Args:
        model: a run folder, a model folder, a hub id, or a file that export wrote.
        photos: files, folders of photos, and patterns such as "photos/*.jpg".
        format: how to write the answers; by default by the suffix of `out`, or as a table.
        out: a .txt, .json or .csv file for the answers; by default they are printed.
        top: number of classes to list.
        batch_size: number of photos to process at a time.
        at_least: answer "unknown" below this probability; auto uses the model's own, set on the validation split.
        false_alarms: answer "unknown" where a photo looks like none of the classes; for this share of photos of the
            classes that is wrong.
        error_rate: answer with a set of classes that misses the true one this often, or with their coarser class.
        tta: test-time augmentation: average the answer with that for the mirrored photo.
        parts: look at the parts of all photos, of none, or of the unsure ones only: where the main branch is below the
            threshold that training set on the validation split, or below a probability.
        features: a .npy or .safetensors file for the main branch's features; FILE.names.json lists the photos.
        engine: what runs the network: torch, or auto, the fastest here that keeps the answers of 99.5% of photos:
            openvino, else onnx, else folded, which is torch with batch norm folded into the convolutions, in bf16
            where the processor has it in hardware. For onnx and openvino the model is exported once, into the user's
            cache; int8 needs a run folder.
        shard: predict the I-th of N parts of the photos, as one of N jobs; give I/N, for example 2/8. The number is
            added to the names of out and features, and scapnet merge puts them together.
        mask_pixels: answer from the pixels of open units alone: the network runs a second time with the pixels that the
            gate closed in the mean colour, and the same gate and parts.
    """
    with quick_imports():
        from scapnet.answers import write_answers

    answer = top, batch_size, at_least, tta, engine, parts, error_rate, false_alarms
    write_answers(model, photos, format, out, features, *answer, shard, mask_pixels)


def merge(out: Positional[list[Path]]) -> None:
    """Put together what the jobs of predict --shard wrote, in the order of the photos.

    Args:
        out: the files as they were named to predict, without the numbers of the shards.
    """
    from scapnet.shards import merge
    from scapnet.terminal.console import say

    for path in out:
        say(f"{path}: {len(merge(path))} shards")


def show(model: Positional[str], photos: Positional[list[str]], out: Path = Path("parts.png")) -> None:
    """Draw what a model looked at: the gate, the chosen parts of each scale, and their crops.

    Args:
        model: a run folder, a model folder or a hub id.
        photos: files, folders of photos, and patterns such as "photos/*.jpg"; the first 24 readable ones are drawn.
        out: the picture file.
    """
    with quick_imports():
        from scapnet.terminal.console import say
        from scapnet.visualize import show_parts

    say(str(show_parts(model, photos, out)))


def explain(
    model: Positional[str],
    photo: Positional[Path | None] = None,
    versus: tuple[str, ...] = (),
    out: Path = Path("explain.png"),
    format: Literal["table", "json"] = "table",
    split: Literal["test", "val", "train"] | None = None,
    root: DataRoot = None,
    table: DataTable = None,
) -> None:
    """Show why a photo got one class and not another, part by part, or what tells two classes apart.

    Args:
        model: a run folder; for a photo also a model folder or a hub id.
        photo: the photo; without one, two classes are compared over the held-out photos of a run.
        versus: the class to compare the answer with, by default the second best; or two classes.
        out: the picture file.
        format: how to print the numbers.
        split: the split whose photos are compared; by default val, or test if there is no val.
        root: the folder of the run's data now, if it has moved.
        table: likewise for a table of photos.
    """
    with quick_imports():
        from scapnet.explain.command import show_explanation

    show_explanation(model, photo, versus, out, format == "json", split, root, table)
