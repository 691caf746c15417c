"""CUB's birds, small in large pictures: each bird, cut out by its box, at a random place in a drawn landscape.

    python benchmarks/large_birds.py CUB_200_2011 large-birds

The result has CUB's own layout, with boxes and part points moved along, and is read with
`--data.name cub`. A bird's cut-out fills a tenth of its picture and
fades out towards its edge, so that the edge does not show the place. The same photo gets the same picture every time.
The runs on it are in results/trials-large-birds.jsonl.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from scapnet.data.synthetic.drawing import render
from scapnet.data.synthetic.finches import Finches
from scapnet.data.synthetic.scene import SeededRandom

SIDE = 720  # pixels of a picture
BIRD = 227  # pixels of a cut-out: 227 x 227 is a tenth of 720 x 720
FADE = 0.15  # share of a cut-out's side, at each edge
LISTS = ("classes.txt", "images.txt", "image_class_labels.txt", "train_test_split.txt")
Box = tuple[float, float, float, float]  # x, y, width, height


def landscape(scenes: Finches, index: int) -> Image.Image:
    """A drawn scene without its bird."""
    scene = scenes.parameters(index)
    return render(replace(scene, pose=(-9.0, *scene.pose[1:]), front=()), SIDE)


def fading() -> Image.Image:
    """The opacity of a cut-out: 1 in the middle, falling to 0 at its edge."""
    inside = np.minimum(np.arange(BIRD), np.arange(BIRD)[::-1]) / (FADE * BIRD)
    ramp = np.clip(inside, 0, 1)
    return Image.fromarray((255 * ramp[:, None] * ramp[None]).astype(np.uint8))


def rows(file: Path) -> list[list[str]]:
    """The lines of a list, split at spaces."""
    return [line.split() for line in file.read_text().splitlines() if line.strip()]


def make(home: Path, out: Path) -> None:
    """Write the data set.

    Args:
        home: CUB's folder, the one with images.txt.
        out: a new folder.
    """
    images, boxes = dict(rows(home / "images.txt")), {key: box for key, *box in rows(home / "bounding_boxes.txt")}
    scenes, opacity = Finches("train", length=len(images), size=SIDE), fading()
    moved: dict[str, tuple[Box, int, int]] = {}
    for number, (key, name) in enumerate(images.items()):
        rng = SeededRandom("large birds", name)
        x, y = (int(rng.uniform(0, SIDE - BIRD)) for _ in range(2))
        left, top, width, height = map(float, boxes[key])
        with Image.open(home / "images" / name) as photo:
            corners = (left, top, left + width, top + height)
            bird = photo.convert("RGB").resize((BIRD, BIRD), Image.Resampling.BICUBIC, corners)
        picture = landscape(scenes, number)
        picture.paste(bird, (x, y), opacity)
        file = out / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file, quality=92)
        moved[key] = (left, top, width, height), x, y
    for name in LISTS:
        shutil.copyfile(home / name, out / name)
    lines = [f"{key} {x:.1f} {y:.1f} {BIRD:.1f} {BIRD:.1f}" for key, (_, x, y) in moved.items()]
    (out / "bounding_boxes.txt").write_text("\n".join([*lines, ""]))
    (out / "parts").mkdir()
    shutil.copyfile(home / "parts" / "parts.txt", out / "parts" / "parts.txt")
    lines = []
    for key, part, *point, seen in rows(home / "parts" / "part_locs.txt"):
        (left, top, width, height), x, y = moved[key]
        px, py = float(point[0]), float(point[1])
        at: tuple[float, float] = (0.0, 0.0)
        if seen == "1":
            at = (x + (px - left) / width * BIRD, y + (py - top) / height * BIRD)
        lines.append(f"{key} {part} {at[0]:.1f} {at[1]:.1f} {seen}")
    (out / "parts" / "part_locs.txt").write_text("\n".join([*lines, ""]))


def main() -> None:
    """Read the arguments and write the data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="CUB's folder, the one with images.txt")
    parser.add_argument("out", type=Path, help="a new folder")
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"{args.out} exists; name a new folder")
    make(args.home, args.out)


if __name__ == "__main__":
    main()
