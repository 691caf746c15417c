"""One request for a file: where it may lead, how long it may take, and which failures may pass."""

import contextlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import IO, Any
from urllib.parse import urlsplit

from scapnet.errors import reason

TIMEOUT = 30.0  # seconds without a byte
REDIRECTS = 8
PASSING = frozenset([408, 416, 425, 429, 500, 502, 503, 504])  # answers that another try may change


class Broken(Exception):
    """A try that failed for a reason that may pass."""


@contextlib.contextmanager
def passing() -> Iterator[None]:
    """Errors of the network, told from those of the disk.

    Raises:
        Broken: the connection failed.
    """
    try:
        yield
    except (http.client.HTTPException, OSError) as error:
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        raise Broken(f"the connection failed ({reason(why) if isinstance(why, Exception) else why})") from error


def request(url: str, headers: dict[str, str]) -> Any:
    """Ask for a file; only http and https, also where a server sends us on.

    Returns:
        The open answer, 200 or 206.

    Raises:
        Broken: no answer, or one that may change; it holds the number as ``args[1]``.
        ValueError: an address of another kind, an answer that will not change, a certificate that is not valid.
    """
    _check_scheme(url)
    opener = urllib.request.build_opener(_Redirects)
    headers = {"User-Agent": "scapnet", "Accept-Encoding": "identity", **headers}
    try:
        with passing():
            return opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except Broken as broken:
        error = broken.__cause__
        if isinstance(error, urllib.error.HTTPError):
            raise _refusal(url, error) from error
        if isinstance(error, urllib.error.URLError) and isinstance(error.reason, ssl.SSLCertVerificationError):
            raise ValueError(
                f"{url} shows a certificate that is not valid; see whether the address is right"
            ) from error
        raise


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    error.close()
    if error.code in PASSING:
        return Broken(f"the server answered {error.code} {error.reason}", error.code)
    why = f"is answered by {error.code} {error.reason}"
    if 300 <= error.code < 400:  # urllib's own refusals: too many, or another kind of address
        circle = "infinite loop" in error.reason
        why = "goes round in redirects" if circle else f"leads to {error.headers['Location']}, which is not allowed"
    return ValueError(f"{url} {why}; see whether the data set has moved, or get it by hand")


def version_of(headers: Message) -> str | None:
    """What tells one version of a file from another; a weak ETag does not."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def length_of(response: Any) -> int | None:
    """Bytes of an answer, if it says so."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = REDIRECTS

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_scheme(newurl, f"{req.full_url} leads to ")
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise ValueError(f"{req.full_url} leads to {newurl}, which anyone on the way could change; get it by hand")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str, before: str = "") -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{before}{url}, which is no http or https address; give one that is")
