"""What is timed: the network of a preset, or a trained one."""

from dataclasses import replace
from pathlib import Path

from scapnet.build import build_model, view_of
from scapnet.checkpoint import from_pretrained, read_run
from scapnet.config import Config
from scapnet.jsonfile import read_json
from scapnet.network import Network
from scapnet.presets import PRESETS

CLASSES = 200  # of a preset's network, as in CUB-200-2011


def network_of(what: str, size: int | None) -> tuple[Network, Config]:
    """A network in evaluation mode, and the config that it is trained with.

    Args:
        what: a preset, whose network is built with random weights; or a run or model folder.
        size: another side of the view, for a preset; its parts and its resize change in proportion.

    Raises:
        ValueError: neither a preset nor a folder with a model, or a size for a trained model.
    """
    if what in PRESETS and not Path(what).exists():
        config = sized(PRESETS[what](), size)
        model = build_model(config.model, CLASSES, config.data.size)
        model.view, model.classes = view_of(config, model), tuple(f"class {i}" for i in range(CLASSES))
        return model.eval(), config
    if size is not None:
        raise ValueError("the size of a trained model is its own; leave --size out, or time a preset")
    try:
        model = from_pretrained(what)
    except ValueError as error:
        raise ValueError(f"{what} is neither one of the presets {', '.join(PRESETS)} nor a model ({error})") from error
    about = Path(what) / "config.json"
    trained = about.is_file() and "preset" in read_json(about)
    base = read_run(Path(what)) if trained else PRESETS["paper"]()
    view = model.view
    data = replace(base.data, size=view.size, resize=view.resize, source_size=view.source_size, fit=view.fit)
    return model, replace(base, data=data, model=replace(model.config, weights="none"))


def sized(config: Config, size: int | None) -> Config:
    """A preset without starting weights, for views of another size."""
    model, data = replace(config.model, weights="none"), config.data
    if size is not None:
        factor = size / data.size
        data = replace(data, size=size, resize=round(data.resize * factor))
        model = replace(model, parts=replace(model.parts, size=max(8, round(model.parts.size * factor))))
    return replace(config, data=data, model=model)
