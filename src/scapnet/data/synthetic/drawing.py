"""Draws a bird and its cluttered surroundings from parameters, at any resolution.

Every shape is a polygon under an affine map. Lengths are in bird lengths on the bird and in picture sides elsewhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from scapnet.data.synthetic.anatomy import ANATOMY
from scapnet.data.synthetic.shapes import FORMS, SHEEN, Affine, Box, bounds, inner, place

Colour = tuple[int, int, int]
Pose = tuple[float, float, float, float, bool, float]  # x, y, bird length, turn in degrees, flip, plumpness
# Pixels. Enlarging this small canvas blurs the background, by the same amount at every picture size.
BACKGROUND_SIDE = 32


class Stamp(NamedTuple):
    """One shape in the picture."""

    form: str
    x: float
    y: float
    size: float  # half its length, in picture sides
    turn: float  # degrees
    colour: Colour

    def frame(self) -> Affine:
        """Map from the unit box to the picture."""
        return place(self.x, self.y, self.size, self.turn)


@dataclass(frozen=True)
class Parameters:
    """Everything that determines a picture; `forms`, `hidden` and `paints` have one entry per kind of mark."""

    family: str
    forms: tuple[str, ...]  # the form of each mark, "" for plain plumage
    hidden: tuple[bool, ...]  # behind a leaf
    paints: tuple[Colour, ...]  # colours of the marks
    mark_scale: float
    pose: Pose
    plumage: tuple[Colour, Colour, Colour, Colour]  # body, belly, wing, legs and plain beak
    ground: tuple[Colour, ...]  # 4 x 4 soft patches
    light: tuple[Colour, ...]  # 3 x 3 patches that the picture is multiplied by
    far: tuple[Stamp, ...]  # out of focus, in the background
    near: tuple[Stamp, ...]  # in focus, behind the bird
    front: tuple[Stamp, ...]  # in front of the bird


def mark_boxes(p: Parameters, size: int) -> dict[str, Box]:
    """Boxes of the visible marks by name: xyxy in pixels of a picture of side `size`, clipped to it."""
    bird, boxes = place(*p.pose), {}
    for kind, form, hidden in zip(ANATOMY[p.family].kinds, p.forms, p.hidden, strict=True):
        if form and not hidden:
            frame = kind.frame(p.mark_scale).then(bird)
            x0, y0, x1, y1 = bounds(point for polygon in FORMS[form] for point in frame.of(polygon))
            boxes[kind.name] = max(x0, 0) * size, max(y0, 0) * size, min(x1, 1) * size, min(y1, 1) * size
    return boxes


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """The colour a fraction t of the way from a to b."""
    return round(a[0] + (b[0] - a[0]) * t), round(a[1] + (b[1] - a[1]) * t), round(a[2] + (b[2] - a[2]) * t)


def render(p: Parameters, size: int) -> Image.Image:
    """Draw a picture of `size` x `size` pixels (RGB)."""
    fine = min(4, max(2, 384 // size))  # Pillow's polygons have whole-pixel corners, so small pictures are supersampled
    far = _far(p).resize((size, size), Image.Resampling.BICUBIC)
    canvas = far.resize((fine * size, fine * size), Image.Resampling.NEAREST)
    draw, page = ImageDraw.Draw(canvas), place(0, 0, fine * size, 0)
    _stamp(draw, p.near, page)
    _bird(draw, p, place(*p.pose).then(page))
    _stamp(draw, p.front, page)
    light = _patches(p.light, 3).resize((size, size), Image.Resampling.BILINEAR)
    return ImageChops.multiply(canvas.reduce(fine), light)


def _patches(colours: Sequence[Colour], side: int) -> Image.Image:
    return Image.frombytes("RGB", (side, side), bytes(v for colour in colours for v in colour))


def _far(p: Parameters) -> Image.Image:
    canvas = _patches(p.ground, 4).resize((BACKGROUND_SIDE, BACKGROUND_SIDE), Image.Resampling.BICUBIC)
    _stamp(ImageDraw.Draw(canvas), p.far, place(0, 0, BACKGROUND_SIDE, 0))
    return canvas.filter(ImageFilter.BoxBlur(2))


def _stamp(draw: ImageDraw.ImageDraw, stamps: Iterable[Stamp], page: Affine) -> None:
    for s in stamps:
        frame = s.frame().then(page)
        for polygon in FORMS[s.form]:
            draw.polygon(frame.of(polygon), fill=s.colour)
        if s.form in SHEEN:
            draw.polygon(frame.of(SHEEN[s.form]), fill=mix(s.colour, (255, 255, 220), 0.25))


def _bird(draw: ImageDraw.ImageDraw, p: Parameters, bird: Affine) -> None:
    anatomy, (body, belly, wing, horn) = ANATOMY[p.family], p.plumage
    dark = mix(wing, (0, 0, 0), 0.25)
    for i, polygon in enumerate(anatomy.tail):
        draw.polygon(bird.of(polygon), fill=mix(dark, wing, i / 2))
    for polygon in anatomy.legs:
        draw.polygon(bird.of(polygon), fill=horn)
    for i in range(12):
        shrink = place(anatomy.highlight[0] * i / 14, anatomy.highlight[1] * i / 14, 1 - i / 14, 0)
        draw.polygon(shrink.then(bird).of(anatomy.body), fill=mix(body, belly, i / 11))
    for polygon in anatomy.down:
        draw.polygon(bird.of(polygon), fill=mix(body, belly, 0.35))
    draw.polygon(place(-0.005, 0.012, 1, 0).then(bird).of(anatomy.wing), fill=mix(body, (0, 0, 0), 0.3))
    draw.polygon(bird.of(anatomy.wing), fill=wing)
    for i, polygon in enumerate(anatomy.feathers):
        draw.polygon(bird.of(polygon), fill=mix(dark, wing, (i + 1) / 5))
    if anatomy.bill:
        draw.polygon(anatomy.bill.frame(1).then(bird).of(FORMS["bill"][0]), fill=horn)
    _marks(draw, p, bird)
    _eye(draw, anatomy.eye, p.mark_scale, bird)


def _eye(draw: ImageDraw.ImageDraw, eye: tuple[float, float, float], scale: float, bird: Affine) -> None:
    x, y, radius = eye[0], eye[1], eye[2] * scale
    for lift, share, colour in ((0.0, 1.0, (150, 110, 60)), (0.0, 0.82, (18, 14, 16)), (0.35, 0.3, (240, 240, 240))):
        frame = place(x + lift * radius, y - lift * radius, radius * share, 0)
        draw.polygon(frame.then(bird).of(FORMS["ring"][0]), fill=colour)


def _marks(draw: ImageDraw.ImageDraw, p: Parameters, bird: Affine) -> None:
    for kind, form, paint in zip(ANATOMY[p.family].kinds, p.forms, p.paints, strict=True):
        frame = kind.frame(p.mark_scale).then(bird)
        for polygon in FORMS[form] if form else ():
            draw.polygon(frame.of(polygon), fill=mix(paint, p.plumage[0], 0.3))
            draw.polygon(frame.of(inner(polygon)), fill=paint)
