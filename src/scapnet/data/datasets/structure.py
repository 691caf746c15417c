"""Which folders are splits and which are classes, by their names and by where the photos are in them."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from scapnet.data.files import DEAD, SYSTEM, Listing, SkippedFile, find_photos, is_system, one_name, photos_in
from scapnet.data.formats import is_like_photo, is_photo, why_no_photo
from scapnet.data.spelling import split_name
from scapnet.terminal.hints import option, read_with

ClassFolders = dict[str, list[Path]]  # by class name; a name with its accents in either form is the same
TABLES = (".csv", ".tsv")


class Structure(NamedTuple):
    """The class folders of the splits."""

    splits: dict[str, ClassFolders]
    homes: dict[str, Path]  # by split: the folder that holds its class folders
    notes: tuple[str, ...] = ()  # what was guessed, in sentences


class Candidate(NamedTuple):
    """A folder that may be a split or a class."""

    path: Path
    split: str | None  # the split that its name means
    has_classes: bool  # whether its subfolders hold photos
    has_photos: bool  # whether there are photos anywhere in it


def subfolders(folder: Path, listing: Listing) -> list[Path]:
    """The folders in a folder, without hidden and system ones, in order."""
    with os.scandir(folder) as found:
        names = [entry.name for entry in found if not is_system(entry.name) and _is_folder(entry)]
    return [folder / name for name in sorted(names, key=listing.key)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; only a link needs a disk access."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def has_own_photos(folder: Path) -> bool:
    """Whether there is a photo directly in a folder."""
    with os.scandir(folder) as found:
        return any(is_photo(entry.name) and not is_system(entry.name) and os.path.isfile(entry) for entry in found)


def has_photos(folder: Path) -> bool:
    """Whether there is a photo anywhere below a folder."""
    return has_own_photos(folder) or next(find_photos(folder, Listing()), None) is not None


def innermost(folder: Path, listing: Listing, classes: Collection[str] = ()) -> Path:
    """The folder that holds the split or class folders, inside any folders wrapped around it (``data/data/train``).

    Args:
        folder: the outermost folder.
        listing: how folders are sorted.
        classes: names of folders that are classes, not wrappers.
    """
    inside = [path for path in subfolders(folder, listing) if has_photos(path)]
    wraps = len(inside) == 1 and not has_own_photos(folder) and one_name(inside[0].name) not in classes
    if wraps and split_name(inside[0].name) is None and any(map(has_photos, subfolders(inside[0], listing))):
        return innermost(inside[0], listing, classes)
    return folder


def read_structure(root: Path, listing: Listing) -> Structure:
    """Find the class folders of each split of a data set.

    Args:
        root: holds split folders, or class folders, or a folder of these.
        listing: collects the files that belong to no class.

    Raises:
        ValueError: the folders are ambiguous, or have no training photos.
    """
    outer, root = root, innermost(root, listing)
    candidates = _candidates(root, listing)
    others = [found for found in candidates if not found.split]
    homes = _homes(candidates)
    flat = [found for found in candidates if found.split and found.has_photos and not found.has_classes]
    notes = [f"no photos in {found.path}" for found in candidates if found.split and not found.has_photos]
    classes = others
    if "train" in homes:
        _check_rivals(homes, others, flat)
        listing.skipped += [file for found in (*others, *flat) for file in _unused(found, listing)]
    elif flat:
        notes.append(_flat_class(root, flat, homes, [found for found in others if found.has_photos]))
        classes = sorted([*others, *flat], key=lambda found: listing.key(found.path.name))
    elif homes and not others:
        named = ", ".join(str(found.path) for found in candidates if found.split)
        raise ValueError(
            f"{root} has no training photos; put them in {root / 'train' / 'CLASS' / 'PHOTO.jpg'}, beside {named}"
        )
    splits = {} if "train" in homes else {"train": by_class([found.path for found in classes])}
    for split in sorted(homes, key=("train", "val", "test").index):
        home = homes[split] = innermost(homes[split], listing, splits.get("train", ()))
        splits[split] = by_class(subfolders(home, listing))
        _skip_files(home, listing)
    splits = {split: _with_photos(found, listing) for split, found in splits.items()}
    for folder in (root, *root.parents):
        _skip_files(folder, listing)
        if folder == outer:
            break
    folders = [folder for same in splits["train"].values() for folder in same]
    _check_inside(folders, listing)
    return Structure(splits, {"train": root, **homes}, (*notes, *_nested(folders, listing)))


def labelled_structure(root: Path, listing: Listing, classes: Collection[str]) -> Structure:
    """As `read_structure`, for photos to score a model with known classes on; no training split is needed.

    Returns:
        The existing splits; under "" if the class folders are in no split.
    """
    root = innermost(root, listing, classes)
    homes = _homes([found for found in _candidates(root, listing) if one_name(found.path.name) not in classes])
    homes = {split: innermost(home, listing, classes) for split, home in homes.items()} or {"": root}
    splits = {split: by_class(subfolders(home, listing)) for split, home in homes.items()}
    return Structure({split: _with_photos(found, listing) for split, found in splits.items()}, homes)


def by_class(folders: Iterable[Path]) -> ClassFolders:
    """Class folders by name; folders whose names differ only in the form of their accents are one class."""
    found: ClassFolders = {}
    for folder in folders:
        found.setdefault(one_name(folder.name), []).append(folder)
    return found


def _with_photos(classes: ClassFolders, listing: Listing) -> ClassFolders:
    """Class folders without those that hold only other files (annotations, code, runs) and nothing like a photo."""
    found: ClassFolders = {}
    for name, folders in classes.items():
        inside = Listing(listing.order)
        if not any(map(has_photos, folders)):
            for folder in folders:
                list(find_photos(folder, inside))  # to collect what it skips
        files = [path for path, why in inside.skipped if why != SYSTEM]
        if not inside.skipped or any(is_like_photo(path.name) for path in files):
            found[name] = folders
        else:
            listing.skipped += inside.skipped
    return found


def table_hint(folder: Path) -> str:
    """What to do with a table in a folder that has no class folders."""
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(TABLES) and not is_system(name))
    if not names:
        return ""
    table = read_with({"data.name": "csv", "data.root": folder, "data.table": folder / names[0]})
    return f"; or read the table {names[0]} with {table}"


def _candidates(root: Path, listing: Listing) -> list[Candidate]:
    found = []
    for path in subfolders(root, listing):
        classes = any(map(has_photos, subfolders(path, listing)))
        found.append(Candidate(path, split_name(path.name), classes, classes or has_own_photos(path)))
    return found


def _homes(candidates: Sequence[Candidate]) -> dict[str, Path]:
    """The split folders with class folders in them."""
    homes: dict[str, Path] = {}
    for found in candidates:
        if found.split and found.has_classes:
            if found.split in homes:
                raise ValueError(
                    f"{homes[found.split]} and {found.path} are both the {found.split} split by name; "
                    f"merge them, or rename one of them"
                )
            homes[found.split] = found.path
    return homes


def _check_rivals(homes: dict[str, Path], others: Sequence[Candidate], flat: Sequence[Candidate]) -> None:
    """Refuse a folder called train with subfolders that has folders of photos beside it: it may be a class."""
    rivals = [found.path for found in others if found.has_photos and not found.has_classes]
    if len(homes) == 1 and not flat and len(rivals) > 1:
        names = ", ".join(path.name for path in rivals[:5]) + (", ..." if len(rivals) > 5 else "")
        raise ValueError(
            f"{homes['train']} may be the training split, as it has folders in it, or a class beside {names}; "
            f"rename it if it is a class, or move the others away if it is the split"
        )


def _flat_class(root: Path, flat: Sequence[Candidate], homes: dict[str, Path], others: Sequence[Candidate]) -> str:
    """A note on one folder that is named like a split but read as a class because of the folders beside it."""
    path = flat[0].path
    if len(flat) == 1 and others and not homes and (flat[0].split == "train" or len(others) == 1):
        return f"{path} is read as a class and not as a split, because its photos are not in class folders"
    if others:
        raise ValueError(
            f"{path} is named like a split, but its photos are not in class folders; put them in "
            f"{path / 'CLASS' / 'PHOTO.jpg'}, rename the folder if it is a class, or move it away"
        )
    flat = sorted(flat, key=lambda found: ("train", "val", "test").index(found.split or ""))
    path, names = flat[0].path, " and ".join(str(found.path) for found in flat)
    raise ValueError(
        f"the photos in {names} are not in class folders; put them in {path / 'CLASS' / 'PHOTO.jpg'}{table_hint(root)}"
    )


def _unused(found: Candidate, listing: Listing) -> list[SkippedFile]:
    """All files of a folder that is not used."""
    why = "is not a split" if not found.split else "has no class folders"
    inside = Listing(listing.order)
    photos = [SkippedFile(path, f"photos in {found.path}, which {why}") for path in find_photos(found.path, inside)]
    return photos + inside.skipped


def _skip_files(folder: Path, listing: Listing) -> None:
    """Files beside class folders, or beside split folders."""
    for name in sorted(os.listdir(folder), key=listing.key):
        if is_system(name):
            listing.skipped += [SkippedFile(photo, SYSTEM) for photo in photos_in(folder / name)]
        elif not (folder / name).is_dir():
            why = "photos outside class folders" if is_photo(name) else why_no_photo(name)
            listing.skipped.append(SkippedFile(folder / name, why if (folder / name).exists() else DEAD))


def _check_inside(folders: Iterable[Path], listing: Listing) -> None:
    """Refuse splits inside classes: they would all be trained on."""
    for folder in folders:
        inside = subfolders(folder, listing)
        named = {split_name(path.name): path for path in inside if split_name(path.name) and has_photos(path)}
        if len(named) > 1:
            splits = " and ".join(path.name for path in named.values())
            if any(map(has_photos, (below for path in named.values() for below in subfolders(path, listing)))):
                raise ValueError(f"{folder} holds the splits {splits}; give it with {option('data.root')} {folder}")
            place = folder.parent / "train" / folder.name / "PHOTO.jpg"
            raise ValueError(f"{folder} is a class with the splits {splits} in it; put the classes into them: {place}")


def _nested(folders: Sequence[Path], listing: Listing) -> list[str]:
    """A note on classes whose photos are all in subfolders: these may be the real classes."""
    deep = [folder for folder in folders if not has_own_photos(folder) and has_photos(folder)]
    if not deep:
        return []
    inside = [{path.name for path in subfolders(folder, listing)} for folder in deep]
    shared = sorted(set.intersection(*inside), key=listing.key)
    if len(deep) == len(folders) and len(shared) > 1:
        names = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
        return [f"all classes contain the folders {names}; if those are the classes, give their folder instead"]
    return [f"classes whose photos are in subfolders: {len(deep)} ({deep[0] / min(inside[0], key=listing.key)})"]
