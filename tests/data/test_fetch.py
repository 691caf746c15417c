"""Downloads against a server on this machine that does what servers do, and worse."""

import hashlib
import http.client
import io
import shutil
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request

import pytest

from samples import grocery
from scapnet.config import DataConfig
from scapnet.data import fetch as module
from scapnet.data import load, web
from scapnet.data import unpack as unpacking
from scapnet.data.fetch import WAITS, Archive, download, fetch
from scapnet.data.partial import Part

BODY = bytes(range(256)) * 1200  # larger than one block of a socket
MD5 = hashlib.md5(BODY).hexdigest()


class Site:
    """What the server does with its next requests, and what it was asked."""

    def __init__(self) -> None:
        self.files = {"/file.bin": BODY}
        self.headers = {"ETag": '"one"'}
        self.plan: list[str] = []
        self.asked: list[str | None] = []
        self.url = ""

    def archive(self, **options: str) -> Archive:
        return Archive(f"{self.url}/file.bin", "file.bin", options.get("checksum"))


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site, act = self.site, self.site.plan.pop(0) if self.site.plan else "serve"
        site.asked.append(self.headers["Range"])
        if act.isdigit():
            self.send_error(int(act))
            return
        if act.startswith("to "):
            self.send_response(302)
            self.send_header("Location", act.removeprefix("to "))
            self.end_headers()
            return
        body = site.files[self.path]
        same = self.headers["If-Range"] in site.headers.values()
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        start = start if same and act != "no range" else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.answer(act, body, start + (act == "shifted"))

    def answer(self, act: str, body: bytes, start: int) -> None:
        self.send_response(206 if start else 200)
        for name, value in self.site.headers.items():
            self.send_header(name, value)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if act == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif act != "no length":
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        if act == "chunked":
            rest = b"%x\r\n%s\r\n0\r\n\r\n" % (len(rest), rest)
        self.wfile.write(rest[: len(rest) // 2] if act == "cut" else rest)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    handler = type("SiteHandler", (Handler,), {"site": site, "protocol_version": "HTTP/1.1", "timeout": 5})
    handler.do_GET = closing(handler.do_GET)  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


def closing(get: object) -> object:
    def do_GET(self: Handler) -> None:
        get(self)  # type: ignore[operator]
        self.close_connection = True

    return do_GET


class Log:
    """A bar that remembers."""

    def __init__(self) -> None:
        self.starts: list[tuple[str, int | None, int]] = []
        self.count = 0
        self.notes: list[str] = []

    def start(self, name: str, total: int | None, done: int = 0) -> None:
        self.starts.append((name, total, done))
        self.count = done

    def advance(self, count: int) -> None:
        self.count += count

    def note(self, text: str) -> None:
        self.notes.append(text)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- one file ---


def test_a_file_comes_whole_and_only_once(site: Site, tmp_path: Path) -> None:
    log = Log()
    for kind, digest in (("md5", MD5.upper()), ("sha256", hashlib.sha256(BODY).hexdigest())):
        archive = Archive(f"{site.url}/file.bin", f"{kind}.bin", digest, "md5" if kind == "md5" else "sha256")
        for _ in range(2):
            assert fetch(archive, tmp_path / "new", log).read_bytes() == BODY
    assert log.starts == [("md5.bin", len(BODY), 0), ("sha256.bin", len(BODY), 0)]
    assert log.count == len(BODY)
    assert len(site.asked) == 2
    assert left(tmp_path / "new") == ["md5.bin", "sha256.bin"]


def test_a_break_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.plan, waits, log = ["cut", "cut"], list[float](), Log()
    assert fetch(site.archive(checksum=MD5), tmp_path, log, waits.append).read_bytes() == BODY
    half, third = len(BODY) // 2, len(BODY) // 2 + len(BODY) // 4
    assert site.asked == [None, f"bytes={half}-", f"bytes={third}-"]
    assert waits == list(WAITS[:2])
    assert [done for _, _, done in log.starts] == [0, half, third]
    assert "broke off after" in log.notes[0]


def test_the_next_call_goes_on_with_what_came(site: Site, tmp_path: Path) -> None:
    site.headers = {"Last-Modified": "Wed, 01 Jan 2020 00:00:00 GMT", "ETag": 'W/"weak"'}
    site.plan = ["cut"] + ["503"] * len(WAITS)
    with pytest.raises(ValueError, match=rf"failed 8 times, at last because .* 503 .* the {len(BODY) // 2:,} bytes"):
        fetch(site.archive(), tmp_path, None, lambda _: None)
    assert left(tmp_path) == [".file.bin.part", ".file.bin.part.json"]
    assert fetch(site.archive(), tmp_path, None).read_bytes() == BODY
    assert site.asked[-1] == f"bytes={len(BODY) // 2}-"


@pytest.mark.parametrize("change", ["no range", "shifted", "new file", "shorter", "no version", "ignores If-Range"])
def test_what_cannot_go_on_starts_anew(site: Site, tmp_path: Path, change: str) -> None:
    new = BODY[::-1]

    def pause(_: float) -> None:
        if change == "new file":
            site.files["/file.bin"], site.headers = new, {"ETag": '"two"'}
        if change == "shorter":  # and the server takes it for the same
            site.files["/file.bin"] = new[:1000]
        if change == "ignores If-Range":
            site.files["/file.bin"], site.headers = new, {"ETag": '"two"', "X": '"one"'}

    if change == "no version":
        site.headers = {}
    site.plan = ["cut", change]
    expected = {"new file": new, "shorter": new[:1000], "ignores If-Range": new}.get(change, BODY)
    assert fetch(site.archive(), tmp_path, None, pause).read_bytes() == expected
    assert left(tmp_path) == ["file.bin"]


def test_a_kill_before_the_new_name_costs_nothing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Part, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch(site.archive(), tmp_path)
    assert not (tmp_path / "file.bin").exists()
    assert fetch(site.archive(), tmp_path).read_bytes() == BODY
    assert len(site.asked) == 1


def test_a_part_of_another_address_or_with_odd_notes_is_not_used(site: Site, tmp_path: Path) -> None:
    (tmp_path / ".file.bin.part").write_bytes(b"other")
    for notes in ("[", "[]", '{"url": "elsewhere", "version": "\\"one\\"", "total": 9}'):
        (tmp_path / ".file.bin.part.json").write_text(notes)
        assert fetch(site.archive(), tmp_path).read_bytes() == BODY
        (tmp_path / "file.bin").rename(tmp_path / ".file.bin.part")
    assert site.asked == [None] * 3


def test_wrong_bytes_are_deleted(site: Site, tmp_path: Path) -> None:
    site.files["/file.bin"] = b"a page that says sorry"
    found = hashlib.md5(site.files["/file.bin"]).hexdigest()
    with pytest.raises(ValueError, match=f"md5 {found} where {MD5} was expected; it was deleted"):
        fetch(site.archive(checksum=MD5), tmp_path)
    assert left(tmp_path) == []
    (tmp_path / "file.bin").write_bytes(b"mine")
    with pytest.raises(ValueError, match=f"and not {MD5}; remove it"):
        fetch(site.archive(checksum=MD5), tmp_path)
    assert left(tmp_path) == ["file.bin"]


@pytest.mark.parametrize(("status", "tries"), [("404", 1), ("403", 1), ("410", 1), ("500", 8), ("429", 8)])
def test_answers_that_stay_and_answers_that_pass(site: Site, tmp_path: Path, status: str, tries: int) -> None:
    site.plan = [status] * 20
    with pytest.raises(ValueError, match=status) as caught:
        fetch(site.archive(), tmp_path, None, lambda _: None)
    assert len(site.asked) == tries
    assert "\n" not in str(caught.value)
    site.plan = ["503", "500"]
    assert fetch(site.archive(), tmp_path, None, lambda _: None).read_bytes() == BODY


def test_redirects_are_followed_only_on_the_web_and_not_for_ever(site: Site, tmp_path: Path) -> None:
    site.plan = ["to /file.bin"]
    assert fetch(Archive(f"{site.url}/old", "a"), tmp_path).read_bytes() == BODY
    secret = tmp_path / "secret"
    for place in (secret.as_uri(), "ftp://127.0.0.1/x", "data:,x"):
        site.plan = [f"to {place}"]
        with pytest.raises(ValueError, match=r"no http or https address|leads to .* not allowed"):
            fetch(site.archive(), tmp_path)
    site.plan = ["to /file.bin"] * 30
    with pytest.raises(ValueError, match="goes round in redirects"):
        fetch(site.archive(), tmp_path)
    assert 20 <= len(site.plan) < 30
    with pytest.raises(ValueError, match="no http or https"):
        fetch(Archive(secret.as_uri(), "a2"), tmp_path)
    secure, headers = Request("https://host/x"), http.client.HTTPMessage()
    with pytest.raises(ValueError, match="anyone on the way"):
        web._Redirects().redirect_request(secure, io.BytesIO(), 302, "", headers, "http://host/x")


def test_without_a_length_only_what_shows_its_end_is_taken(site: Site, tmp_path: Path) -> None:
    site.plan = ["chunked", "cut", "no length", "no length"]
    assert fetch(site.archive(), tmp_path / "a").read_bytes() == BODY
    site.plan = ["no length", "no length"]
    with pytest.raises(ValueError, match="tells no length"):
        fetch(site.archive(), tmp_path / "b")
    assert left(tmp_path / "b") == []
    assert fetch(site.archive(checksum=MD5), tmp_path / "b").read_bytes() == BODY


def test_no_server_and_no_room(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as gone:
        port = gone.server_port
    with pytest.raises(ValueError, match=r"connection failed .*refused"):
        fetch(Archive(f"http://127.0.0.1:{port}/x", "x"), tmp_path, None, lambda _: None)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot write"):
        fetch(site.archive(), tmp_path / "file" / "below")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(ValueError, match=f"needs {len(BODY):,} more bytes and .* has 10 free"):
        fetch(site.archive(), tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "C:x"])
def test_a_file_name_is_a_file_name(name: str) -> None:
    with pytest.raises(ValueError, match="no plain file name"):
        fetch(Archive("http://host/x", name), Path())


# --- a data set ---


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"set/{name}", data)
    return buffer.getvalue()


@pytest.fixture
def parts(site: Site) -> list[Archive]:
    site.files |= {"/a.zip": zipped(one=b"1"), "/b.zip": zipped(two=b"22"), "/labels.mat": b"333"}
    return [Archive(f"{site.url}/{name}", name) for name in ("a.zip", "b.zip", "labels.mat")]


def test_a_data_set_is_there_whole(site: Site, parts: list[Archive], tmp_path: Path) -> None:
    root = tmp_path / "data" / "set"
    for _ in range(2):
        assert download(parts, root) == root
    assert len(site.asked) == 3
    assert sorted(p.relative_to(root).as_posix() for p in root.rglob("*.*")) == ["labels.mat"]
    assert (root / "set" / "one").read_bytes() + (root / "set" / "two").read_bytes() == b"122"
    assert left(root.parent) == ["set"]


def test_a_kill_in_the_middle_leaves_no_data_set(
    site: Site, parts: list[Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, extract = tmp_path / "set", unpacking.extract

    def killed(path: Path, folder: Path, limit: int) -> int:
        extract(path, folder, limit)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "extract", killed)
    with pytest.raises(KeyboardInterrupt):
        download(parts, root, Log())
    assert not root.exists()
    (tmp_path / ".set.download" / "unpacked").mkdir()  # as a kill -9 leaves it
    (tmp_path / ".set.download" / "unpacked" / "half").write_bytes(b"")
    monkeypatch.setattr(module, "extract", extract)
    root.mkdir()  # an empty folder is no data set
    download(parts, root, Log())
    assert left(root) == ["labels.mat", "set"]
    assert len(site.asked) == 3


def test_a_damaged_archive_comes_again(site: Site, parts: list[Archive], tmp_path: Path) -> None:
    good, site.files["/b.zip"] = site.files["/b.zip"], site.files["/b.zip"][:-30]
    with pytest.raises(ValueError, match=r"b\.zip is damaged"):
        download(parts, tmp_path / "set", Log())
    assert not (tmp_path / "set").exists()
    site.files["/b.zip"] = good
    download(parts, tmp_path / "set", Log())
    assert left(tmp_path) == ["set"]


def test_two_at_once(site: Site, parts: list[Archive], tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(download, parts, tmp_path / "set", Log()) for _ in range(4)]
    assert {call.result() for call in calls} == {tmp_path / "set"}
    assert len(site.asked) == 3
    assert left(tmp_path / "set") == ["labels.mat", "set"]
    assert left(tmp_path) == ["set"]


def test_an_evil_or_huge_archive_leaves_nothing(site: Site, parts: list[Archive], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("fine", b"")
        archive.writestr("../evil", b"")
    site.files["/b.zip"] = buffer.getvalue()
    with pytest.raises(ValueError, match=r"'../evil', which leads out"):
        download(parts, tmp_path / "set", Log())
    assert not (tmp_path / "set").exists()
    assert left(tmp_path / ".set.download") == ["a.zip", "labels.mat"]
    site.files["/b.zip"] = zipped(two=bytes(300))
    with pytest.raises(ValueError, match=r"b\.zip unpacks to more than the 200 bytes"):
        download(parts, tmp_path / "set", Log(), limit=200)


def test_a_data_set_is_downloaded_by_name_and_read(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made" / "GroceryStoreDataset-1" / "dataset"
    grocery(made)
    shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "made")
    site.files["/file.bin"] = (tmp_path / "archive.zip").read_bytes()
    about = replace(load.INFOS["grocery"], downloads=(Archive(f"{site.url}/file.bin", "grocery.zip"),))
    monkeypatch.setitem(load.INFOS, "grocery", about)
    config = DataConfig("grocery", root=tmp_path / "there", download=True)
    found, again = load.load_data(config), load.load_data(replace(config, download=False))
    assert found.train[0].image.shape[0] == 3
    assert found.train.labels == again.train.labels
    asked = len(site.asked)
    load.load_data(config)
    assert len(site.asked) == asked  # what is there is not fetched again


def test_what_may_not_be_downloaded_says_what_to_get() -> None:
    with pytest.raises(ValueError, match="VegFru") as error:
        load.load_data(DataConfig("veg200", download=True))
    assert "\n" not in str(error.value)
