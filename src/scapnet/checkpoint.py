"""Model folders: ``model.safetensors``, ``config.json`` and a model card, with everything that prediction needs."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model

from scapnet import __version__
from scapnet.backbones.weights import model_folder, replaced
from scapnet.build import build_model
from scapnet.calibration import Calibration, Prototypes
from scapnet.card import TrainingFacts, model_card
from scapnet.config import Config, ModelConfig, ViewConfig
from scapnet.errors import reason
from scapnet.jsonfile import read_json, write_json
from scapnet.modelfile import QuickStart, check_finite, check_header, offline, read_model_config
from scapnet.network import Network, as_module
from scapnet.serialization import from_dict, to_dict
from scapnet.tensorfile import save_tensors, save_weights

FORMAT = 1
PROTOTYPES = "prototypes.safetensors"  # of a model folder, where they are known
MODEL_FILES = ("config.json", "model.safetensors", PROTOTYPES, "README.md")
CLASSIFIERS = ("classifier", "part_classifier", "scrutinizer")  # the modules of all networks that give logits


def save_pretrained(model: Network, folder: Path | str, scores: dict[str, Any] | None = None) -> Path:
    """Write a model folder for `from_pretrained`; an older one is replaced once the new one is complete.

    Args:
        model: a network with its ``config``, ``view`` and ``classes`` set.
        folder: the folder to write.
        scores: scores for the model card.

    Returns:
        The folder.

    Raises:
        ValueError: the network was composed by hand, or a module of it was replaced, so that its config does not
            describe it; nothing is written.
    """
    with torch.random.fork_rng(devices=[]), QuickStart():  # of its weights, only the shapes are looked at
        described = build_model(model.config, len(model.classes), model.view.size, start=False)
    mine, its = _structure(model), _structure(described)
    if mine != its:
        name = min(set(mine.items()) ^ set(its.items()))[0]
        raise ValueError(
            f"the network's config does not describe it (the first difference is {name}), so it could not be loaded "
            f"again; save its weights with safetensors.torch.save_model, and build it as you did before loading them"
        )
    return write_model(model, Path(folder), scores or {})


def _structure(model: Network) -> dict[str, str]:
    """Classes of all modules, shapes of all tensors, and the settings of a SCAPNet that neither shows, by name."""
    module = as_module(model)
    kinds = {name: type(child).__name__ for name, child in module.named_modules(remove_duplicate=False)}
    for needs, settings in (("gate", ("mask",)), ("selection", ("part_size", "pool"))):
        if getattr(module, needs, None) is not None:
            kinds |= {name: str(getattr(module, name, None)) for name in settings}
    return kinds | {name: str(tuple(tensor.shape)) for name, tensor in module.state_dict().items()}


def write_model(model: Network, folder: Path, scores: dict[str, Any], facts: TrainingFacts | None = None) -> Path:
    """Write the folder of a network that `build_model` made; see `save_pretrained`."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_weights(as_module(model), draft / "model.safetensors")
    about = {
        "format": FORMAT,
        "scapnet": __version__,
        "model": to_dict(model.config),
        "view": to_dict(model.view),
        "classes": list(model.classes),
        "threshold": model.threshold,
        "sure": model.sure,
        **_kept(model),
        "scores": scores,
    }
    write_json(draft / "config.json", about)
    _write_prototypes(model, draft)
    (draft / "README.md").write_text(model_card(model, scores, facts), encoding="utf-8")
    old = replaced(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def keep_calibration(model: Network, path: Path, parents: Sequence[str] = ()) -> None:
    """Write a network's calibration into the model folder that it came from.

    Args:
        model: with its ``calibration``.
        path: as for `from_pretrained`.
        parents: the coarser classes of its data, where the model has none from its training.
    """
    model.parents = model.parents or tuple(parents)
    folder = model_folder(path)
    _write_prototypes(model, folder)
    write_json(folder / "config.json", read_json(folder / "config.json") | _kept(model))


def _write_prototypes(model: Network, folder: Path) -> None:
    if model.prototypes is not None:
        tensors = model.prototypes._asdict().items()
        halves = {name: one.half().contiguous() if one.is_floating_point() else one for name, one in tensors}
        save_tensors(halves, folder / PROTOTYPES)


def _read_prototypes(folder: Path) -> Prototypes | None:
    """The prototypes of a model folder in float32; None where it has none."""
    try:
        found = load_file(folder / PROTOTYPES)
        if found.keys() == {"prototypes"}:  # of an earlier version; scapnet eval RUN --split val replaces it
            return None
        tensors = {name: found[name] for name in Prototypes._fields}
        return Prototypes(**{name: one.float() if one.is_floating_point() else one for name, one in tensors.items()})
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{folder / PROTOTYPES} is damaged ({reason(error)}); remove it, or train again") from error


class Known(NamedTuple):
    """What a model folder knows of its model's answers, besides the weights."""

    parents: tuple[str, ...] = ()
    calibration: Calibration | None = None
    prototypes: Prototypes | None = None


def read_known(folder: Path) -> Known:
    """What a model folder knows of its model's answers.

    Raises:
        ValueError: a damaged file.
    """
    return Known(*_told(read_model_config(folder)), _read_prototypes(folder))


def _told(about: Mapping[str, Any]) -> tuple[tuple[str, ...], Calibration | None]:
    """The parents and the calibration of a config.json."""
    kept = about.get("calibration") or {}
    calibration = from_dict(Calibration, kept) if "weights" in kept else None  # an earlier version had another score
    return tuple(str(name) for name in about.get("parents", ())), calibration


def _kept(model: Network) -> dict[str, Any]:
    """What a config.json has only where there is something to say."""
    parents = {"parents": list(model.parents)} if model.parents else {}
    return parents | ({"calibration": to_dict(model.calibration)} if model.calibration is not None else {})


def read_run(run: Path) -> Config:
    """The config of a run folder.

    Raises:
        ValueError: ``run`` is not a run folder.
    """
    values = read_json(run / "config.json")
    if "preset" not in values:
        raise ValueError(
            f"{run} is not a run folder (its config.json has no preset); give the folder that training wrote"
        )
    values["data"].setdefault("order", "text")  # runs of versions before 0.2 sorted their files this way
    return from_dict(Config, values)


def from_pretrained(
    path: Path | str,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: Path | str | None = None,
) -> Network:
    """A trained network; no code of the folder is run.

    Args:
        path: a model folder, a run folder that holds one, or a Hugging Face hub id ("owner/name").
        revision: a branch, tag or commit of the hub's repository.
        token: for a private repository; True takes the one that ``hf auth login`` stored.
        cache_dir: where what the hub gives is kept, by default the cache of `huggingface_hub`.

    Returns:
        `SCAPNet` or another network, in evaluation mode on the CPU, with ``classes``, ``view``, ``config``,
        ``threshold``, ``sure``, ``calibration``, ``prototypes`` and ``parents``.

    Raises:
        ValueError: no model is there, or this version cannot read it.
    """
    folder = model_folder(path, revision=revision, token=token, cache_dir=cache_dir)
    about = read_model_config(folder)
    missing = [key for key in ("model", "view", "classes") if key not in about]
    if missing or about.get("format") != FORMAT:
        raise ValueError(
            f"{folder / 'config.json'} is not a model of format {FORMAT}" + (f" (no {missing[0]})" if missing else "")
        )
    weights = folder / "model.safetensors"
    try:
        check_header(weights, len(about["classes"]))
    except PermissionError as error:
        raise ValueError(f"{weights} cannot be read by this user; chmod a+r lets everybody read it") from error
    except (AttributeError, IndexError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{weights} does not fit its config.json ({reason(error)})") from error
    try:
        config, view = from_dict(ModelConfig, about["model"]), from_dict(ViewConfig, about["view"])
        classes = tuple(str(name) for name in about["classes"])
        told = _told(about)
        threshold, sure = (None if about.get(key) is None else float(about[key]) for key in ("threshold", "sure"))
        with offline(), QuickStart():  # the weights are here: nothing is looked up elsewhere, nothing drawn
            model = build_model(config, len(classes), view.size, start=False)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder / 'config.json'} describes no model ({reason(error)})") from error
    try:
        # A shared sub-network is stored once, so safetensors reports its second names as missing.
        missing, unexpected = load_model(as_module(model), weights, strict=False)
        wrong = [key for key in (*missing, *unexpected) if not key.endswith("num_batches_tracked")]
        if wrong:
            raise ValueError(f"{len(wrong)} tensors do not match, the first is {wrong[0]}")
        check_finite(as_module(model))
    except Exception as error:
        raise ValueError(f"{weights} does not fit its config.json ({reason(error)})") from error
    model.view, model.classes, model.threshold, model.sure = view, classes, threshold, sure
    model.parents, model.calibration, model.prototypes = *told, _read_prototypes(folder)
    return model.eval()


def start_from_model(model: Network, classes: Sequence[str]) -> str | None:
    """Initialise a network with every tensor that fits of a saved model; the classifiers only if the classes agree.

    Args:
        model: the network, whose backbones have loaded the weights of its config.
        classes: names of the K classes to learn.

    Returns:
        A sentence on what was loaded and what was left out; None if no file was named.
    """
    loaded = model.backbone.loaded
    if loaded is None:
        return None
    about = loaded.path.with_name("config.json")
    before = read_json(about).get("classes") if loaded.path.name == "model.safetensors" and about.is_file() else None
    if not isinstance(before, list):
        return str(loaded)
    state, own = load_file(loaded.path), as_module(model).state_dict()
    same = before == list(classes)
    fits = {
        key: value
        for key, value in state.items()
        if key in own and own[key].shape == value.shape and (same or key.partition(".")[0] not in CLASSIFIERS)
    }
    as_module(model).load_state_dict(fits, strict=False)
    rest = sorted({key.partition(".")[0] for key in state.keys() - fits.keys()})
    why = "" if same else f" (it has {len(before)} other classes)"
    left = f"; left out: {', '.join(rest)}{why}" if rest else ""
    return f"the network starts from {len(fits)} of {len(state)} tensors of {loaded.path}{left}"
