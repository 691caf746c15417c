"""Options that several commands share: where data that has moved is now."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

Root = Annotated[Path | None, arg(aliases=["--data.root"])]
Table = Annotated[Path | None, arg(aliases=["--data.table"])]
