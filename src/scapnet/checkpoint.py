"""Model folders: ``model.safetensors``, ``config.json`` and a model card, which hold all that prediction needs."""

import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model

from scapnet import __version__
from scapnet.build import build_model, title
from scapnet.config import Config, ModelConfig, ViewConfig
from scapnet.errors import reason
from scapnet.jsonfile import read_json, write_json
from scapnet.network import Network, as_module
from scapnet.serialization import from_dict, to_dict

FORMAT = 1


def save_pretrained(model: Network, folder: Path | str, scores: dict[str, Any] | None = None) -> Path:
    """Write a model folder; an older one at the same place is replaced only when the new one is whole.

    Args:
        model: with its ``config``, ``view`` and ``classes`` set.
        folder: where.
        scores: figures for the model card.

    Returns:
        The folder.

    Raises:
        ValueError: the network was composed by hand, so that no config describes it.
    """
    config = to_dict(model.config)  # before anything is written: a network composed by hand has none
    folder = Path(folder)
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_model(as_module(model), str(draft / "model.safetensors"))
    about = {
        "format": FORMAT,
        "scapnet": __version__,
        "model": config,
        "view": to_dict(model.view),
        "classes": list(model.classes),
        "scores": scores or {},
    }
    write_json(draft / "config.json", about)
    (draft / "README.md").write_text(_card(model, scores or {}), encoding="utf-8")
    old = _old(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def _old(folder: Path) -> Path:
    """Where the older model waits while the new one takes its place; `from_pretrained` finds it after a kill."""
    return folder.with_name(f".{folder.name}.old")


def read_run(run: Path) -> Config:
    """The config of a run folder.

    Raises:
        ValueError: ``run`` is none.
    """
    values = read_json(run / "config.json")
    if "preset" not in values:
        raise ValueError(f"{run} is no run folder (its config.json has no preset); give the folder that training left")
    return from_dict(Config, values)


def from_pretrained(path: Path | str) -> Network:
    """A trained network from a model folder, a run folder that holds one, or a Hugging Face hub id ("owner/name").

    Returns:
        `SCAPNet`, or a host, in evaluation mode on the CPU, with ``classes``, ``view`` and ``config``.

    Raises:
        ValueError: no model there, or one that this version cannot read.
    """
    folder = _find(path)
    about = read_json(folder / "config.json")
    missing = [key for key in ("model", "view", "classes") if key not in about]
    if missing or about.get("format") != FORMAT:
        raise ValueError(
            f"{folder / 'config.json'} is no model of format {FORMAT}" + (f" (no {missing[0]})" if missing else "")
        )
    try:
        config, view = from_dict(ModelConfig, about["model"]), from_dict(ViewConfig, about["view"])
        classes = tuple(str(name) for name in about["classes"])
        model = build_model(config, len(classes), view.size, start=False)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder / 'config.json'} describes no model ({reason(error)})") from error
    try:
        # A shared sub-network is stored once; safetensors then misses the names of its second place.
        missing, unexpected = load_model(as_module(model), folder / "model.safetensors", strict=False)
        wrong = [key for key in (*missing, *unexpected) if not key.endswith("num_batches_tracked")]
        if wrong:
            raise ValueError(f"{len(wrong)} tensors do not match, the first is {wrong[0]}")
    except Exception as error:
        raise ValueError(f"{folder / 'model.safetensors'} does not fit its config.json ({reason(error)})") from error
    model.view, model.classes = view, classes
    return model.eval()


def _find(path: Path | str) -> Path:
    folder = Path(path)
    for place in (folder, folder / "model", _old(folder), _old(folder / "model")):
        if (place / "model.safetensors").is_file():
            return place
    if folder.exists():
        raise ValueError(f"{folder} holds no model; give a run folder or one with config.json and model.safetensors")
    # Only a string can be a hub id, and not one that leads into a folder that is here.
    local = isinstance(path, Path) or (folder.parent != Path() and folder.parent.exists())
    if local or str(path).count("/") != 1 or str(path).startswith((".", "/", "~")):
        raise ValueError(f"there is no folder {folder}; give a run folder, a model folder or a hub id owner/name")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(path), allow_patterns=["config.json", "model.safetensors"]))
    except Exception as error:  # the hub client has many errors, and all mean that there is no model to load
        raise ValueError(
            f"there is no folder {folder}, and the hub gave no model of that name ({type(error).__name__})"
        ) from error


def _card(model: Network, scores: dict[str, Any]) -> str:
    names = ", ".join(model.classes[:12]) + (", ..." if len(model.classes) > 12 else "")
    lines = [
        "---",
        "library_name: scapnet",
        "pipeline_tag: image-classification",
        "tags: [fine-grained, part-attention, scapnet]",
        "---",
        "",
        f"# {title(model.config)} for {len(model.classes)} classes",
        "",
        f"A {model.config.backbone} at {model.view.size} px, trained with scapnet {__version__}.",
        f"Classes: {names}.",
        "",
        "```python",
        "import scapnet",
        "",
        'model = scapnet.from_pretrained("PATH")',
        'print(scapnet.predict_photo(model, "photo.jpg").table())',
        "```",
    ]
    figures = [f"| {key} | {value:.4f} |" for key, value in scores.items() if isinstance(value, float)]
    return "\n".join([*lines, *(["", "| score | value |", "|---|---|", *figures] if figures else []), ""])
