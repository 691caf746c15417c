"""Pictures inside a page, as data URIs, within a budget of bytes."""

import base64
import io
from dataclasses import dataclass, field

from PIL import Image, features

KIND = "webp" if features.check("webp") else "jpeg"


def data_uri(picture: Image.Image, side: int, quality: int = 72) -> str:
    """A picture, at most ``side`` pixels wide and high, as a data URI."""
    small = picture.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, KIND, quality=quality)
    return f"data:image/{KIND};base64,{base64.b64encode(buffer.getvalue()).decode()}"


@dataclass
class Budget:
    """How many bytes of a page are left for pictures."""

    limit: int
    spent: int = field(default=0)

    def take(self, picture: Image.Image, side: int, quality: int = 72) -> str | None:
        """The data URI of a picture, or None where it does not fit any more."""
        found = data_uri(picture, side, quality)
        if self.spent + len(found) > self.limit:
            return None
        self.spent += len(found)
        return found
