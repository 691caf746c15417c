"""The names of splits as people spell them."""

import re

# As the datasets library of Hugging Face reads them, which takes eval for the test split.
SPELLINGS = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
THING = "(?:sets?|splits?|data|images?|imgs?|photos?|pictures?|[0-9]+)"
PATTERNS = {
    split: re.compile(rf"(?:{THING}[ _.-]*)?(?:{'|'.join(words)})(?:[ _.-]*{THING})?", re.IGNORECASE)
    for split, words in SPELLINGS.items()
}


def split_name(name: str) -> str | None:
    """The split that a name means, alone or with a word such as "images" or "set" beside it; None if no split.

    >>> split_name("Training"), split_name("test_images"), split_name("valset"), split_name("trainer")
    ('train', 'test', 'val', None)
    """
    return next((split for split, pattern in PATTERNS.items() if pattern.fullmatch(name.strip())), None)
