"""Which folders are splits and which are classes: from their names, and from where the photos lie in them."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from scapnet.data.files import DEAD, SYSTEM, Listing, SkippedFile, find_photos, is_system, one_name, photos_in
from scapnet.data.formats import is_like_photo, is_photo, why_no_photo
from scapnet.data.spelling import split_name
from scapnet.terminal.hints import option

ClassFolders = dict[str, list[Path]]  # by the name of the class; the same accents in two forms are one name
TABLES = (".csv", ".tsv")


class Structure(NamedTuple):
    """The class folders of the splits."""

    splits: dict[str, ClassFolders]
    homes: dict[str, Path]  # by split: the folder that its class folders lie in
    notes: tuple[str, ...] = ()  # what was guessed, in sentences


class Seen(NamedTuple):
    """A folder, and what is in it."""

    path: Path
    split: str | None  # that its name means
    classes: bool  # whether there are photos in folders in it
    photos: bool  # whether there are photos in it at all


def subfolders(folder: Path, listing: Listing) -> list[Path]:
    """The folders in a folder, without hidden and system ones, in order."""
    with os.scandir(folder) as found:
        names = [entry.name for entry in found if not is_system(entry.name) and _is_folder(entry)]
    return [folder / name for name in sorted(names, key=listing.key)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; only a link costs a look at the disk."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def has_own_photos(folder: Path) -> bool:
    """Whether there is a photo directly in a folder."""
    with os.scandir(folder) as found:
        return any(is_photo(entry.name) and not is_system(entry.name) and os.path.isfile(entry) for entry in found)


def has_photos(folder: Path) -> bool:
    """Whether there is a photo anywhere below a folder."""
    return has_own_photos(folder) or next(find_photos(folder, Listing()), None) is not None


def innermost(folder: Path, listing: Listing, classes: Collection[str] = ()) -> Path:
    """The folder that holds the split or class folders, where others are wrapped round it (``data/data/train``).

    Args:
        folder: the outermost.
        listing: how folders are sorted.
        classes: names of folders that are classes and wrap nothing.
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
        listing: gets the files that belong to no class.

    Raises:
        ValueError: the folders can be read in two ways, or in none.
    """
    outer, root = root, innermost(root, listing)
    seen = _look(root, listing)
    others = [found for found in seen if not found.split]
    homes = _homes(seen)
    flat = [found for found in seen if found.split and found.photos and not found.classes]
    notes = [f"no photo in {found.path}" for found in seen if found.split and not found.photos]
    classes = others
    if "train" in homes:
        _check_rivals(homes, others, flat)
        listing.skipped += [file for found in (*others, *flat) for file in _unused(found, listing)]
    elif flat:
        notes.append(_flat_class(root, flat, homes, [found for found in others if found.photos]))
        classes = sorted([*others, *flat], key=lambda found: listing.key(found.path.name))
    elif homes and not others:
        named = ", ".join(str(found.path) for found in seen if found.split)
        raise ValueError(
            f"{root} has no training photos; put them beside {named} in {root / 'train' / 'CLASS' / 'PHOTO.jpg'}"
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
    """As `read_structure` for photos that a model of known classes has not seen, which need no training split.

    Returns:
        The splits that there are; "" where the class folders are in none.
    """
    root = innermost(root, listing, classes)
    homes = _homes([found for found in _look(root, listing) if one_name(found.path.name) not in classes])
    homes = {split: innermost(home, listing, classes) for split, home in homes.items()} or {"": root}
    splits = {split: by_class(subfolders(home, listing)) for split, home in homes.items()}
    return Structure({split: _with_photos(found, listing) for split, found in splits.items()}, homes)


def by_class(folders: Iterable[Path]) -> ClassFolders:
    """Class folders by name; two whose accents are stored in different forms share theirs."""
    found: ClassFolders = {}
    for folder in folders:
        found.setdefault(one_name(folder.name), []).append(folder)
    return found


def _with_photos(classes: ClassFolders, listing: Listing) -> ClassFolders:
    """Class folders without those that hold other files only (annotations, code, runs) and nothing like a photo."""
    found: ClassFolders = {}
    for name, folders in classes.items():
        inside = Listing(listing.order)
        if not any(map(has_photos, folders)):
            for folder in folders:
                list(find_photos(folder, inside))  # for what it skipes
        files = [path for path, why in inside.skipped if why != SYSTEM]
        if not inside.skipped or any(is_like_photo(path.name) for path in files):
            found[name] = folders
        else:
            listing.skipped += inside.skipped
    return found


def table_hint(folder: Path) -> str:
    """What to do with a table that lies in a folder instead of class folders."""
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(TABLES) and not is_system(name))
    if not names:
        return ""
    table = f"{option('data.name')} csv {option('data.root')} {folder} {option('data.table')} {folder / names[0]}"
    return f"; or read the table {names[0]} with {table}"


def _look(root: Path, listing: Listing) -> list[Seen]:
    found = []
    for path in subfolders(root, listing):
        classes = any(map(has_photos, subfolders(path, listing)))
        found.append(Seen(path, split_name(path.name), classes, classes or has_own_photos(path)))
    return found


def _homes(seen: Sequence[Seen]) -> dict[str, Path]:
    """The split folders with class folders in them."""
    homes: dict[str, Path] = {}
    for found in seen:
        if found.split and found.classes:
            if found.split in homes:
                raise ValueError(
                    f"{homes[found.split]} and {found.path} both are the {found.split} split by their names; "
                    f"put them together, or rename one of them"
                )
            homes[found.split] = found.path
    return homes


def _check_rivals(homes: dict[str, Path], others: Sequence[Seen], flat: Sequence[Seen]) -> None:
    """A folder called train with folders in it, and folders of photos beside it: it may be a class."""
    rivals = [found.path for found in others if found.photos and not found.classes]
    if len(homes) == 1 and not flat and len(rivals) > 1:
        names = ", ".join(path.name for path in rivals[:5]) + (", ..." if len(rivals) > 5 else "")
        raise ValueError(
            f"{homes['train']} has folders in it and can be the training split, or a class beside {names}; "
            f"rename it if it is a class, and move the others away if it is the split"
        )


def _flat_class(root: Path, flat: Sequence[Seen], homes: dict[str, Path], others: Sequence[Seen]) -> str:
    """The sentence for one folder that has the name of a split and is a class by its place among others."""
    path = flat[0].path
    if len(flat) == 1 and others and not homes and (flat[0].split == "train" or len(others) == 1):
        return f"{path} is read as a class and not as a split, for its photos are in no class folders"
    if others:
        raise ValueError(
            f"{path} has the name of a split and holds photos in no class folders; put them in "
            f"{path / 'CLASS' / 'PHOTO.jpg'}, rename the folder if it is a class, or move it away"
        )
    flat = sorted(flat, key=lambda found: ("train", "val", "test").index(found.split or ""))
    path, names = flat[0].path, " and ".join(str(found.path) for found in flat)
    raise ValueError(
        f"{names} hold photos in no class folders; put them in {path / 'CLASS' / 'PHOTO.jpg'}{table_hint(root)}"
    )


def _unused(found: Seen, listing: Listing) -> list[SkippedFile]:
    """All files of a folder that is not used."""
    why = "is no split" if not found.split else "has no class folders"
    inside = Listing(listing.order)
    photos = [SkippedFile(path, f"photos in {found.path}, which {why}") for path in find_photos(found.path, inside)]
    return photos + inside.skipped


def _skip_files(folder: Path, listing: Listing) -> None:
    """Files beside class folders, or beside split folders."""
    for name in sorted(os.listdir(folder), key=listing.key):
        if is_system(name):
            listing.skipped += [SkippedFile(photo, SYSTEM) for photo in photos_in(folder / name)]
        elif not (folder / name).is_dir():
            why = "photos outside of class folders" if is_photo(name) else why_no_photo(name)
            listing.skipped.append(SkippedFile(folder / name, why if (folder / name).exists() else DEAD))


def _check_inside(folders: Iterable[Path], listing: Listing) -> None:
    """Splits below the classes would be trained on as one."""
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
    """A sentence on classes whose photos all lie deeper: their folders may be classes themselves."""
    deep = [folder for folder in folders if not has_own_photos(folder) and has_photos(folder)]
    if not deep:
        return []
    inside = [{path.name for path in subfolders(folder, listing)} for folder in deep]
    shared = sorted(set.intersection(*inside), key=listing.key)
    if len(deep) == len(folders) and len(shared) > 1:
        names = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
        return [f"all classes have the folders {names} in them; if those are the classes, give their folder instead"]
    return [
        f"classes whose photos lie in folders inside them: {len(deep)} ({deep[0] / min(inside[0], key=listing.key)})"
    ]
