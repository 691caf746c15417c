"""The live page: drop, paste or take a photo, see what one or two models say and why, and correct them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio
from fastapi import FastAPI
from PIL import Image
from torch import Tensor

from scapnet.data.images import to_photo
from scapnet.plot import draw_gate, draw_parts
from scapnet.prediction import UNKNOWN, Part, Prediction
from scapnet.serve.answers import Service
from scapnet.serve.corrections import Corrections
from scapnet.serve.limits import Refused
from scapnet.serve.uploads import content_of_file, decode, decode_file, read_upload

ALL, GATE = "all parts", "what the gate kept"
HEAD = Path(__file__).parent / "templates" / "page.html"
SIDE = 640  # of the pictures
SEVERAL = 5  # classes in question that are named, at most
KEPT = 3600  # seconds after which photos of the page are deleted
INTRODUCTION = """# scapnet
Drop a photo, paste one or take one. The boxes are the parts that the answer rests on, in a colour for each scale."""


class Seen(NamedTuple):
    """A photo of a visitor, and what each model says of it."""

    file: str
    found: tuple[Prediction, ...]


def add_page(app: FastAPI, service: Service, corrections: Corrections) -> FastAPI:
    """Put the page at the root of an application."""
    blocks = make_page(service, corrections)
    blocks.queue(max_size=service.limits.queue, default_concurrency_limit=service.limits.uploads)
    mounted: FastAPI = gradio.mount_gradio_app(
        app,
        blocks,
        path="/",
        max_file_size=service.limits.megabytes * 10**6,
        show_error=False,
        ssr_mode=False,
        head_paths=[HEAD],
        footer_links=[],
        theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
    )
    return mounted


def make_page(service: Service, corrections: Corrections) -> Any:
    """The page, as `gradio.Blocks`."""
    names = list(service.models)
    classes = list(dict.fromkeys(name for batcher in service.models.values() for name in batcher.engine.classes))
    with gradio.Blocks(title="scapnet", analytics_enabled=False, delete_cache=(KEPT, KEPT)) as page:
        gradio.Markdown(INTRODUCTION)
        seen = gradio.State()
        with gradio.Row():
            with gradio.Column(min_width=280):
                photo: Any = gradio.Image(
                    label="photo",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "webcam", "clipboard"],
                    height=320,
                    elem_id="photo",
                )
                # Gradio would open the file and fail without a sentence where it is no photo; `decode` has one.
                photo.preprocess = lambda upload: None if upload is None else upload.path
                with gradio.Column(elem_id="pasted"):  # not shown; see HEAD
                    pasted = gradio.UploadButton()
                said = gradio.Textbox(label="message", interactive=False, visible=False, elem_id="message")
            labels = [_label(name, i) for i, name in enumerate(names)]
        choice = gradio.Radio([ALL], value=ALL, label="show", elem_id="show")
        with gradio.Row():
            pictures = [_picture(name, i) for i, name in enumerate(names)]
        with gradio.Row():
            right = gradio.Dropdown(classes, value=None, label="the right class", elem_id="right", min_width=280)
            save = gradio.Button("Save the correction", elem_id="save", min_width=200)
        note = gradio.Textbox(label="correction", interactive=False, visible=False, elem_id="note")

        def answer(file: str | None) -> list[Any]:
            return _answer(service, file)

        def redraw(now: Seen | None, shown: str) -> Any:
            drawn = [None] * len(names) if now is None else [draw(now.file, one, shown, service) for one in now.found]
            return drawn if len(drawn) > 1 else drawn[0]

        def correct(now: Seen | None, label: str | None) -> Any:
            return gradio.update(value=_correct(service, corrections, now, label), visible=True)

        outputs = [seen, said, choice, note, right, *labels, *pictures]
        pasted.upload(str, [pasted], [photo], api_visibility="private")
        photo.change(answer, [photo], outputs, api_visibility="private")
        choice.input(redraw, [seen, choice], pictures, api_visibility="private")
        save.click(correct, [seen, right], [note], api_visibility="private")
    return page


def _label(name: str, i: int) -> Any:
    with gradio.Column(min_width=280):
        return gradio.Label(label=name, num_top_classes=5, elem_id=f"answer-{i}")


def _picture(name: str, i: int) -> Any:
    return gradio.Image(
        label=f"parts of {name}",
        interactive=False,
        type="pil",
        format="png",
        buttons=["fullscreen", "download"],
        min_width=280,
        elem_id=f"parts-{i}",
    )


def _answer(service: Service, file: str | None) -> list[Any]:
    """New values of all outputs for a photo."""
    count = len(service.models)
    hidden = gradio.update(value="", visible=False)
    nothing = [None] * (2 * count)
    if file is None:
        return [None, hidden, gradio.update(choices=[ALL], value=ALL), hidden, None, *nothing]
    try:
        content, models = content_of_file(file, service.limits), service.models.values()
        image = decode(content, service.limits)
        futures = [one.submit(read_upload(content, service.limits, one.engine)) for one in models]
        found = tuple(future.result() for future in futures)
    except Refused as error:
        told = gradio.update(value=error.reason, visible=True)
        return [None, told, gradio.update(choices=[ALL], value=ALL), hidden, None, *nothing]
    named = zip(service.thresholds.items(), found, strict=True)
    labels = [gradio.Label(top(one), label=title(name, threshold, one)) for (name, threshold), one in named]
    pictures = [draw_all(image, one, ALL) for one in found]
    choices = gradio.update(choices=views(found), value=ALL)
    return [Seen(file, found), hidden, choices, hidden, None, *labels, *pictures]


def top(found: Prediction) -> dict[str, float]:
    """The five best classes."""
    return dict(list(zip(found.names, found.probabilities, strict=True))[:5])


def title(name: str, threshold: float | None, found: Prediction) -> str:
    """The name of a model, and that it does not know, or which classes are in question.

    It does not know where its best class is below its own threshold, or by the settings of the server.
    """
    if threshold is not None and found.probabilities[0] < threshold:
        return f"{name}: {UNKNOWN}, the best class is below {threshold:.0%}"
    if found.answer == UNKNOWN:
        return f"{name}: {UNKNOWN}"
    if found.among is None or len(found.among) < 2:
        return name
    some = " or ".join(found.among) if len(found.among) <= SEVERAL else f"one of {len(found.among)} classes"
    return f"{name}: {found.parent} ({some})" if found.parent else f"{name}: {some}"


def views(found: Sequence[Prediction]) -> list[str]:
    """What can be shown: all parts, each scale, and the gate where there is one."""
    scales = sorted({part.scale for one in found for part in one.parts})
    gate = any(one.gate is not None for one in found)
    return [ALL, *(f"scale {scale}" for scale in scales), *([GATE] if gate else [])]


def draw(file: str, found: Prediction, shown: str, service: Service) -> Image.Image | None:
    """The picture of a photo that may be gone by now."""
    try:
        return draw_all(decode_file(file, service.limits), found, shown)
    except (Refused, OSError):
        return None


def draw_all(image: Tensor, found: Prediction, shown: str) -> Image.Image:
    """A photo (3, H, W) uint8 with the parts of all scales or of one, or with what the gate kept."""
    photo = to_photo(image)
    if shown == GATE and found.gate is not None:
        return draw_gate(photo, found.gate, found.view, SIDE)
    parts = [part for part in found.parts if shown in (ALL, f"scale {part.scale}")]
    labels = [vote(part) for part in parts] if shown != ALL else None
    boxes = [part.box for part in parts]
    return draw_parts(photo, boxes, [part.scale for part in parts], labels, size=SIDE)


def vote(part: Part) -> str:
    """What a part alone says."""
    return f"{part.name} {part.probability:.0%}"


def _correct(service: Service, corrections: Corrections, now: Seen | None, label: str | None) -> str:
    """Save a correction; a sentence on what was done."""
    if now is None:
        return "There is no photo to correct."
    if not label:
        return "Choose the right class first."
    best, model = now.found[0], next(iter(service.models))
    try:
        image = decode_file(now.file, service.limits)
        file = corrections.add(image, label, best.names[0], best.probabilities[0], model)
    except (Refused, OSError) as error:
        return f"The correction was not saved: {error}"
    return f"Saved in {corrections.table} as {Path(file).name}."
