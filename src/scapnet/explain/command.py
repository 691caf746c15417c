"""`scapnet explain`: a photo or a pair of classes, as text or JSON and as a picture."""

import json
from collections.abc import Sequence
from pathlib import Path

from scapnet.backbones.weights import model_folder
from scapnet.checkpoint import from_pretrained
from scapnet.data.inputs import load_photo
from scapnet.engine import best_device
from scapnet.explain.neighbours import TrainingPhotos
from scapnet.explain.pair import explain_pair_of_run
from scapnet.explain.pairpicture import draw_pair
from scapnet.explain.photo import class_number, explain
from scapnet.explain.picture import draw_explanation
from scapnet.network import Network
from scapnet.terminal.console import make_console, printable, say
from scapnet.visualize import check_picture, save_picture


def show_explanation(
    model: str,
    photo: Path | None,
    versus: Sequence[str] = (),
    out: Path = Path("explain.png"),
    as_json: bool = False,
    split: str | None = None,
    root: Path | None = None,
    table: Path | None = None,
) -> None:
    """Explain a photo or, without one, a pair of classes over a split: print the numbers and draw the picture.

    Args:
        model: a run folder; for a photo also a model folder or a hub id, which have no training photos.
        photo: the photo.
        versus: the class to compare the answer with; or two, the first of which is explained.
        out: the picture file.
        as_json: print JSON instead of lines.
        split: the split of the pair; see `explain_pair_of_run`.
        root: the folder of the run's data now, if it has moved.
        table: likewise for a table of photos.

    Raises:
        ValueError: the arguments do not fit together (raised before a model is loaded); or see `explain`.
    """
    out = check_picture(out)
    if len(versus) > 2 or (photo is None and len(versus) != 2):
        raise ValueError("give a photo, or two classes to compare over the held-out photos: --versus A B")
    if photo is not None and not photo.is_file():
        raise ValueError(f"{photo} is not a file; give one photo" if photo.exists() else f"there is no photo {photo}")
    network = from_pretrained(model).to(best_device())
    if photo is None:
        _show_pair(model, network, versus, out, as_json, split, root, table)
    else:
        _show_photo(model, network, photo, versus, out, as_json, root, table)


def _note(text: str) -> None:
    say(text, make_console(stderr=True))


def _show_photo(
    model: str,
    network: Network,
    photo: Path,
    versus: Sequence[str],
    out: Path,
    as_json: bool,
    root: Path | None,
    table: Path | None,
) -> None:
    numbers = [class_number(network.classes, name) for name in versus]
    image = load_photo(photo)
    training = None
    if (Path(model) / "split.json").is_file():
        try:
            training = TrainingPhotos(Path(model), network, root, table, _note)
        except ValueError as error:
            _note(f"shown without training photos: {error}")
    else:
        _note(f"shown without training photos: {model_folder(model)} is not a run folder")
    answer, other = (None, *numbers)[-2:] if numbers else (None, None)
    found = explain(network, photo, other, answer, training)
    save_picture(draw_explanation(found, image, training.data if training else None), out)
    print(json.dumps(found.to_dict(), ensure_ascii=False) if as_json else f"{found.table()}\n{printable(out)}")


def _show_pair(
    model: str,
    network: Network,
    versus: Sequence[str],
    out: Path,
    as_json: bool,
    split: str | None,
    root: Path | None,
    table: Path | None,
) -> None:
    found, data = explain_pair_of_run(Path(model), network, versus[0], versus[1], split, root, table, _note)
    save_picture(draw_pair(found, data), out)
    print(json.dumps(found.to_dict(), ensure_ascii=False) if as_json else f"{found.table()}\n{printable(out)}")
