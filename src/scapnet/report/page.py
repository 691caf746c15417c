"""The page: jinja2 templates, filled with the figures and pictures of a report."""

import base64
import hashlib
import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from scapnet.report import charts
from scapnet.terminal.console import printable

LIMIT = 5_000_000  # bytes of a page


def environment() -> Environment:
    """The templates' environment; everything that is filled in is escaped."""
    found = Environment(
        loader=PackageLoader("scapnet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["charts"] = charts
    found.filters |= {"percent": percent, "points": charts.points, "safe_name": printable, "soft": soft}
    return found


def percent(value: float | None, digits: int = 1) -> str:
    """A share as text; a dash for none.

    >>> percent(0.1234), percent(None)
    ('12.3%', '–')
    """
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def soft(name: str) -> Markup:
    """A name that may be broken after its underscores and slashes, and whose control characters are written out.

    >>> soft("a_<b>/c")
    Markup('a_<wbr>&lt;b&gt;/<wbr>c')
    """
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[_/])", printable(name)))


def render(content: dict[str, Any]) -> str:
    """The page, in one text.

    Args:
        content: the names that the templates use; see `scapnet.report.write`.
    """
    templates = environment()
    style, script = (Markup(_source(templates, name)) for name in ("style.css", "script.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # The browser itself refuses whatever is not in the page: no network, and no script but this one.
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return templates.get_template("page.html").render(**content, style=style, script=script, policy=policy)


def _source(templates: Environment, name: str) -> str:
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0]
