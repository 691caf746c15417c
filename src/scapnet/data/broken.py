"""Unreadable images: training uses another one of the class, evaluation leaves them out."""

from collections.abc import Iterable

from scapnet.data.images import UnreadableImage
from scapnet.data.sample import FineGrained, Sample
from scapnet.terminal.hints import option


def next_readable(data: FineGrained, index: int) -> tuple[Sample, bool]:
    """The sample at an index, or else the next readable one of its class, from the start after the last.

    Returns:
        The sample, and whether the one that was asked for is broken.

    Raises:
        ValueError: no image of the class can be read, with the first file's name.
    """
    try:
        return data[index], False
    except UnreadableImage as error:
        first = error
    labels, count = data.labels, len(data)
    for other in ((index + step) % count for step in range(1, count)):
        if labels[other] == labels[index]:
            try:
                return data[other], True
            except UnreadableImage:
                continue
    name = data.classes[labels[index]]
    raise ValueError(f"{first}, nor is any other of class {name}; replace them, or remove the class") from first


def sort_out(data: FineGrained, indices: Iterable[int]) -> tuple[list[Sample], list[str]]:
    """The readable samples at some indices, and a sentence with the file's name for each of the others."""
    samples, reasons = [], []
    for index in indices:
        try:
            samples.append(data[index])
        except UnreadableImage as error:
            reasons.append(str(error))
    return samples, reasons


def check_share(data: FineGrained, broken: Iterable[int], allowed: float) -> None:
    """Raise if too many images of a split are unreadable.

    Args:
        data: the training split.
        broken: indices of the unreadable ones found so far.
        allowed: the largest share of all images that may be unreadable.

    Raises:
        ValueError: more are, with the first three names.
    """
    found = sorted(broken)
    if len(found) > allowed * len(data):
        named = "; ".join(sort_out(data, found[:3])[1])
        raise ValueError(
            f"{len(found)} of {len(data)} training images cannot be read so far, more than the share of {allowed:g} "
            f"that {option('data.broken-share')} allows: {named}; replace them, or allow more"
        )
