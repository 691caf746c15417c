"""Unreadable images: training uses another image of the class instead, evaluation leaves them out."""

from collections.abc import Iterable

from scapnet.data.images import UnreadableImage
from scapnet.data.sample import FineGrained, Sample
from scapnet.terminal.hints import option


def next_readable(data: FineGrained, index: int) -> tuple[Sample, bool]:
    """The sample at an index, or the next readable one of its class, wrapping around at the end.

    Returns:
        The sample, and whether the requested one is broken.

    Raises:
        ValueError: no image of the class can be read; the message names the first file.
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
    raise ValueError(f"{first}, and neither is any other of class {name}; replace them, or remove the class") from first


def readable_samples(data: FineGrained, indices: Iterable[int]) -> tuple[list[Sample], list[str]]:
    """The readable samples at some indices, and for each of the others a sentence that names the file."""
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
        ValueError: too many are; the message names the first three.
    """
    found = sorted(broken)
    if len(found) > allowed * len(data):
        named = "; ".join(readable_samples(data, found[:3])[1])
        raise ValueError(
            f"{len(found)} of {len(data)} training images are unreadable so far, more than the share of {allowed:g} "
            f"that {option('data.broken-share')} allows: {named}; replace them, or allow more"
        )
