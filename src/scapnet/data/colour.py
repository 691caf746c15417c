"""Colours as the user sees them: photos with another colour profile are converted to sRGB."""

import functools
import io

from PIL import Image, ImageCms

NEAR = 3  # levels of 255 within which a profile counts as sRGB: its published versions differ by as much
GRID = tuple(range(0, 256, 51))


@functools.lru_cache(maxsize=64)
def srgb_transform(icc: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a photo's colours to sRGB, built once for all photos with the same profile.

    Args:
        icc: the profile that is embedded in the photo.
        mode: the photo's mode; only RGB, L, CMYK and LAB are converted.

    Returns:
        None if there is nothing to convert: no profile, sRGB itself, a damaged profile, or one for another mode.
    """
    if mode not in ("RGB", "L", "CMYK", "LAB") or not (icc or mode == "LAB"):
        return None
    try:
        profile = ImageCms.createProfile("LAB") if not icc else ImageCms.ImageCmsProfile(io.BytesIO(icc))
        found = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if _changes_nothing(found, mode) else found
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform moves no colour of a grid by more than NEAR levels."""
    if mode not in ("RGB", "L"):
        return False
    probe = Image.new(mode, (len(GRID) ** 2, len(GRID)) if mode == "RGB" else (256, 1))
    probe.putdata([(r, g, b) for r in GRID for g in GRID for b in GRID] if mode == "RGB" else list(range(256)))
    converted = ImageCms.applyTransform(probe, transform)
    assert converted is not None
    pairs = zip(probe.convert("RGB").tobytes(), converted.tobytes(), strict=True)
    return max(abs(before - after) for before, after in pairs) <= NEAR


def to_srgb(photo: Image.Image) -> Image.Image:
    """A photo of mode RGB, L, CMYK or LAB in sRGB colours; one without a profile is returned as it is."""
    transform = srgb_transform(photo.info.get("icc_profile"), photo.mode)
    return photo if transform is None else ImageCms.applyTransform(photo, transform) or photo
