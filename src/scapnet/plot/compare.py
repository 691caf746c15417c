"""Pictures side by side, with a title above each."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from scapnet.data.inputs import Photo
from scapnet.fonts import fitted, font
from scapnet.plot.canvas import canvas, letter_size
from scapnet.terminal.console import printable


def compare(
    images: Sequence[Photo],
    titles: Sequence[str] = (),
    colours: Sequence[str] = (),
    columns: int | None = None,
    size: int | None = None,
) -> Image.Image:
    """Images side by side in one height, such as two models' parts of one photo, or two classes that are confused.

    Args:
        images: see `scapnet.plot`.
        titles: a line above each image, in any script, shortened to its width; by default none.
        colours: of the titles, as Pillow names them; by default black.
        columns: images in a row; by default all.
        size: the height of each image in pixels; by default the first one's, and at least 320.

    Raises:
        ValueError: no images, or as many titles or colours as there are no images.
    """
    if not images or (columns is not None and columns < 1):
        raise ValueError("there is nothing to compare; give at least one image and one column")
    for name, given in (("titles", titles), ("colours", colours)):
        if given and len(given) != len(images):
            raise ValueError(f"there are {len(images)} images and {len(given)} {name}; give one for each image")
    tiles = [canvas(image).picture for image in images]
    height = size or tiles[0].height
    tiles = [tile.resize((max(1, round(tile.width * height / tile.height)), height)) for tile in tiles]
    letters = letter_size(tiles[0])
    margin, above = round(letters / 2), round(1.6 * letters) if titles else 0
    columns = min(columns or len(tiles), len(tiles))
    rows = [range(i, min(i + columns, len(tiles))) for i in range(0, len(tiles), columns)]
    width = max(sum(tiles[i].width + margin for i in row) for row in rows) + margin
    picture = Image.new("RGB", (width, len(rows) * (height + above + margin) + margin), "white")
    draw, y = ImageDraw.Draw(picture), margin
    for row in rows:
        x = margin
        for i in row:
            if titles:
                line = fitted(printable(titles[i]), tiles[i].width, letters)
                ink = colours[i] if colours else "black"
                draw.text((x, y + above / 2), line, ink, font(letters), anchor="lm")
            picture.paste(tiles[i], (x, y + above))
            x += tiles[i].width + margin
        y += height + above + margin
    return picture
