"""The same drawn picture without a mark, without an object of its background, or in front of another background.

Hesse et al., "FunnyBirds: A Synthetic Vision Dataset for a Part-Based Analysis of Explainable AI Methods", ICCV 2023,
remove parts of a rendered bird in this way; here, the parts are the marks.
"""

from collections.abc import Collection
from dataclasses import replace

from scapnet.data.synthetic.anatomy import ANATOMY
from scapnet.data.synthetic.drawing import Parameters


def visible_marks(p: Parameters) -> dict[str, str]:
    """The form of each mark that can be seen, by the name of its kind."""
    kinds = ANATOMY[p.family].kinds
    return {k.name: form for k, form, gone in zip(kinds, p.forms, p.hidden, strict=True) if form and not gone}


def without_marks(p: Parameters, names: Collection[str]) -> Parameters:
    """The picture with plain plumage in place of some marks; a bird without its beak has none at all."""
    kinds = ANATOMY[p.family].kinds
    forms = tuple("" if kind.name in names else form for kind, form in zip(kinds, p.forms, strict=True))
    return replace(p, forms=forms)


def background_objects(p: Parameters) -> list[tuple[int, ...]]:
    """The objects behind the bird, as indices into ``p.near``.

    An object is a leaf with what is drawn on it, a cluster of berries, a twig, a blade of grass or the perch.
    """
    objects = list[tuple[int, ...]]()
    for i, stamp in enumerate(p.near):
        before = p.near[i - 1] if i else None
        on_it = before is not None and (stamp.x, stamp.y) == (before.x, before.y)
        same_cluster = before is not None and stamp.form == before.form == "berry"
        if on_it or same_cluster:
            objects[-1] = (*objects[-1], i)
        else:
            objects.append((i,))
    return objects


def without_background(p: Parameters, indices: Collection[int]) -> Parameters:
    """The picture without some stamps of ``p.near``."""
    return replace(p, near=tuple(stamp for i, stamp in enumerate(p.near) if i not in indices))


def with_background(p: Parameters, other: Parameters) -> Parameters:
    """The bird of one picture, with what is in front of it, in the surroundings of another."""
    return replace(p, ground=other.ground, far=other.far, near=other.near)
