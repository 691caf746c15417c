"""Options that several commands share: where data that has moved is now."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

DataRoot = Annotated[Path | None, arg(aliases=["--data.root"])]
DataTable = Annotated[Path | None, arg(aliases=["--data.table"])]
