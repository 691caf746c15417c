"""A trained network as one file for other runtimes: ONNX, OpenVINO or PyTorch's own pt2."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal, get_args

from scapnet.checkpoint import from_pretrained
from scapnet.errors import last_line
from scapnet.export.check import Agreement, Photos, as_input, compare, find_photos, read
from scapnet.export.formats import metadata_of, onnx_model, save_openvino, save_pt2
from scapnet.export.graph import Kind, Pixels, trace
from scapnet.export.precision import to_half, to_int8
from scapnet.export.skipping import skip_where_sure
from scapnet.exported import SUFFIXES, needed
from scapnet.metrics.skipping import PartsFor, sure_of
from scapnet.network import Network
from scapnet.outputs import check_file

Format = Literal["onnx", "openvino", "pt2"]
Precision = Literal["fp32", "fp16", "int8"]


def export_model(
    model: Network | Path | str,
    out: Path | str,
    format: Format | None = None,
    precision: Precision = "fp32",
    pixels: Pixels = "photo",
    kind: Kind = "uint8",
    photos: Path | None = None,
    parts_for: PartsFor = "all",
    say: Callable[[str], None] = lambda _: None,
) -> Agreement:
    """Write the whole system, from pixels to probabilities and parts, as one graph, and check its answers.

    Args:
        model: a network, a run folder, a model folder or a hub id.
        out: the file; OpenVINO writes a ``.bin`` beside its ``.xml``.
        format: "onnx", "openvino" or "pt2"; by default by the suffix of ``out``, or onnx.
        precision: "fp32", "fp16" or "int8"; int8 is calibrated on photos.
        pixels: what the graph takes: a "photo" (B, 3, H, W) of any size, or a "view" (B, 3, S', S').
        kind: "uint8", or "float" for floats from 0 to 1.
        photos: labelled photos, in folders named after the classes, for the comparison; by default the held-out photos
            of the run.
        parts_for: look at the parts of "all" photos, or, in an ONNX file, only of the "unsure" ones or of those whose
            main branch is less sure than a probability; with "none" the file has the main branch alone.
        say: receives sentences on the progress.

    Returns:
        How well the file agrees with PyTorch.

    Raises:
        ValueError: the file cannot be written, a library is missing, the format does not support the precision, the
            network cannot be exported, the exported answers differ, or the parts cannot be skipped.
    """
    form, out = chosen_format(Path(out), format, precision)
    net = from_pretrained(model) if isinstance(model, str | Path) else model
    if net.config.parts.enabled and net.config.parts.strategy == "random":
        raise ValueError("this model chooses its parts at random by the number of a photo, which a graph cannot do")
    sure = sure_of(net, parts_for)
    if sure and form != "onnx":
        raise ValueError(f"a graph of the format {form} cannot skip parts for some photos; choose the format onnx")
    known = find_photos(model, net.classes, photos)
    if precision == "int8" and not known.calibration:
        raise ValueError("int8 is calibrated on photos, and there are none; name a folder of photos with --photos")
    say(known.note)
    say(f"exporting as {form} in {precision}; this takes a minute or two")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as folder:
        draft = Path(folder) / out.name
        with without_parts(net) if sure == 0 else nullcontext():
            _write(net, draft, form, precision, pixels, kind, known)
        if sure:
            _skip_parts(draft, sure)
        found = compare(net, draft, known, sure)
        if precision == "fp32" and not found.equal:
            raise ValueError(f"the exported graph's answers are not PyTorch's ({found}); nothing was written")
        for file in sorted(Path(folder).iterdir()):
            shutil.move(file, out.parent / file.name)
    return found


@contextmanager
def without_parts(net: Network) -> Iterator[None]:
    """Let a network with parts run its main branch alone."""
    before = net.stage
    net.set_stage(1)
    try:
        yield
    finally:
        net.set_stage(before)


def _skip_parts(file: Path, sure: float) -> None:
    """Rewrite an ONNX file; see `skip_where_sure`."""
    onnx = needed("onnx")
    proto = onnx.load(file)
    skip_where_sure(proto, sure)
    proto.metadata_props.add(key="sure", value=str(sure))
    onnx.save(proto, file)


def chosen_format(out: Path, format: Format | None, precision: Precision) -> tuple[Format, Path]:
    """The format and the file, checked before the work.

    Raises:
        ValueError: the file cannot be written or has the suffix of another format, or its format lacks the precision.
    """
    by_suffix: dict[str, Format] = {SUFFIXES[name]: name for name in get_args(Format)}
    form = format or by_suffix.get(out.suffix.lower(), "onnx")
    out = check_file(out, [SUFFIXES[form]] if format else list(by_suffix), SUFFIXES[form])
    if form == "pt2" and precision != "fp32":
        raise ValueError(f"pt2 files are written in fp32; for {precision} choose the format onnx or openvino")
    for module in {"onnx": ["onnxscript", "onnxruntime"], "openvino": ["onnxscript", "openvino"], "pt2": []}[form]:
        needed(module)
    return form, out


def _write(
    net: Network, out: Path, form: Format, precision: Precision, pixels: Pixels, kind: Kind, known: Photos
) -> None:
    try:
        program, names = trace(net, pixels, kind)
        metadata = metadata_of(net, pixels, kind, precision)
        if form == "pt2":
            save_pt2(program, out, metadata)
            return
        proto = onnx_model(program, names, metadata)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"this network cannot be exported ({last_line(error)})") from error
    file = out if form == "onnx" else out.with_name("graph.onnx")
    if precision == "int8":
        read_photos = read(known.training or known.data, known.calibration, net.view.size)
        to_int8(proto, (as_input(image, net.view, metadata) for image, _ in read_photos), file)
    else:
        needed("onnx").save(to_half(proto) if precision == "fp16" and form == "onnx" else proto, file)
    if form == "openvino":
        save_openvino(file, out, metadata, half=precision != "fp32")
        file.unlink()
