"""Downloads from a server on this machine that does what servers do, and worse."""

import hashlib
import io
import shutil
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from samples import grocery
from scapnet.config import DataConfig
from scapnet.data import fetch, load
from scapnet.data.fetch import RETRIES, download
from scapnet.data.info import Archive
from scapnet.data.unpack import unpack

BODY = bytes(range(256)) * 1200  # larger than one block of a socket
MD5 = hashlib.md5(BODY).hexdigest()


class Site:
    """What the server does with its next requests, and what it was asked for."""

    def __init__(self) -> None:
        self.files = {"/file.bin": BODY}
        self.plan: list[str] = []
        self.asked: list[str] = []
        self.waits: list[float] = []
        self.url = ""

    def file(self, checksum: str | None = None, kind: str = "md5") -> list[Archive]:
        return [Archive(f"{self.url}/file.bin", "file.bin", checksum, kind)]


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        self.close_connection = True
        act = self.site.plan.pop(0) if self.site.plan else "serve"
        self.site.asked.append(self.path)
        if act.isdigit():
            self.send_error(int(act))
            return
        if act.startswith("to "):
            self.send_response(302)
            self.send_header("Location", act.removeprefix("to "))
            self.end_headers()
            return
        body = self.site.files[self.path]
        self.send_response(200)
        if act == "encoded":  # as some servers say of a .tar.gz, which must arrive as it is
            self.send_header("Content-Encoding", "gzip" if "gzip" in self.headers["Accept-Encoding"] else "identity")
        if act == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif act != "no length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if act == "cut" else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=site.waits.append))
    handler = type("SiteHandler", (Handler,), {"site": site, "protocol_version": "HTTP/1.1", "timeout": 5})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(archives: list[Archive], root: Path, words: str, kept: tuple[str, ...] = ()) -> None:
    """A download says why not in one line, makes no data set, and keeps only archives that are complete."""
    with pytest.raises(ValueError, match=words) as caught:
        download(archives, root)
    assert "\n" not in str(caught.value)
    assert not root.exists()
    assert names(root.with_name(f".{root.name}.download")) == sorted(kept)


# --- one file ---


@pytest.mark.parametrize("kind", ["md5", "sha256"])
@pytest.mark.parametrize("act", ["serve", "encoded", "chunked", "no length", "to /file.bin"])
def test_a_file_arrives_as_it_is(site: Site, tmp_path: Path, kind: str, act: str) -> None:
    site.plan = [act]
    checksum = hashlib.new(kind, BODY).hexdigest().upper()
    root = download(site.file(checksum, kind), tmp_path / "new" / "set")
    assert (root / "file.bin").read_bytes() == BODY
    assert names(tmp_path / "new") == ["set"]


def test_temporary_failures_are_retried(site: Site, tmp_path: Path) -> None:
    site.plan = ["cut", "503", "429", "cut", "500"]
    root = download(site.file(), tmp_path / "set")
    assert (root / "file.bin").read_bytes() == BODY
    assert site.waits == [1, 2, 3, 4, 5]


def test_the_next_call_continues_after_retries_ran_out(site: Site, tmp_path: Path) -> None:
    site.files["/other"] = b"1"
    both = [Archive(f"{site.url}/other", "other"), *site.file()]
    site.plan = ["serve", *["503"] * (RETRIES + 1)]
    refused(both, tmp_path / "set", "file.bin cannot be downloaded .503.*try again later", kept=("other",))
    assert len(site.waits) == RETRIES
    (tmp_path / ".set.download" / "tmp123").write_bytes(b"half of a file, as a kill leaves it")
    assert names(download(both, tmp_path / "set")) == ["file.bin", "other"]
    assert site.asked.count("/other") == 1


@pytest.mark.parametrize("status", ["404", "403", "410"])
def test_final_answers_are_not_retried(site: Site, tmp_path: Path, status: str) -> None:
    site.plan = [status]
    refused(site.file(), tmp_path / "set", f"cannot be downloaded .{status}")
    assert len(site.asked) == 1


def test_wrong_bytes_are_deleted_and_not_fetched_again(site: Site, tmp_path: Path) -> None:
    site.files["/file.bin"] = b"a page that says sorry"
    found = hashlib.md5(site.files["/file.bin"]).hexdigest()
    refused(site.file(MD5), tmp_path / "set", f"has md5 {found} instead of {MD5}; it was deleted")
    assert len(site.asked) == 1


def test_without_a_length_or_a_checksum_half_a_file_would_look_complete(site: Site, tmp_path: Path) -> None:
    site.plan = ["no length"]
    refused(site.file(), tmp_path / "set", "no length and no checksum is known")


def test_redirects_lead_to_http_and_https_only(site: Site, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"")
    for place in ((tmp_path / "secret").as_uri(), "ftp://127.0.0.1/x", "data:,x"):
        site.plan = [f"to {place}"]
        refused(site.file(), tmp_path / "set", "cannot be downloaded")
        refused([Archive(place, "x")], tmp_path / "set", "cannot be downloaded")
    site.plan = ["to /file.bin"] * 99
    refused(site.file(), tmp_path / "set", "redirects")
    assert site.waits == []


@pytest.mark.parametrize(("url", "safe"), [("https://a/x", False), ("http://a/x", True)])
def test_redirects_to_unencrypted_addresses_are_refused(url: str, safe: bool) -> None:
    response = requests.Response()
    response.url, response.status_code = url, 302
    response.headers["Location"] = "http://b/x"
    check = fetch._response_check(Archive(url, "x"))
    if safe:
        check(response)
    else:
        with pytest.raises(fetch._Refused, match="without encryption"):
            check(response)


def test_no_server(site: Site, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as gone:
        port = gone.server_port
    refused([Archive(f"http://127.0.0.1:{port}/x", "x")], tmp_path / "set", "cannot be downloaded .*refused")
    assert len(site.waits) == RETRIES


# --- a data set ---


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"set/{name}", data)
    return buffer.getvalue()


@pytest.fixture
def three(site: Site) -> list[Archive]:
    site.files |= {"/a.zip": zipped(one=b"1"), "/b.zip": zipped(two=b"22"), "/labels.mat": b"333"}
    return [Archive(f"{site.url}/{name}", name) for name in ("a.zip", "b.zip", "labels.mat")]


def test_archives_are_unpacked_into_one_folder(site: Site, three: list[Archive], tmp_path: Path) -> None:
    root = tmp_path / "data" / "set"
    for _ in range(2):
        assert download(three, root) == root
    assert len(site.asked) == 3
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert files == {"set/one": b"1", "set/two": b"22", "labels.mat": b"333"}
    assert names(root.parent) == ["set"]


def test_a_folder_that_holds_something_is_left_alone(site: Site, three: list[Archive], tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine").write_bytes(b"")
    (tmp_path / "file").write_bytes(b"")
    assert [download(three, tmp_path / name) for name in ("set", "file")] == [tmp_path / "set", tmp_path / "file"]
    assert names(tmp_path) == ["file", "set"]
    assert names(tmp_path / "set") == ["mine"]
    assert site.asked == []


def test_a_kill_while_unpacking_leaves_no_data_set(
    site: Site, three: list[Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def killed(path: Path, folder: Path, limit: int) -> None:
        unpack(path, folder, limit)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "unpack", killed)
        with pytest.raises(KeyboardInterrupt):
            download(three, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    (tmp_path / ".set.download" / ".unpacked").mkdir()  # as a kill -9 leaves it
    (tmp_path / ".set.download" / ".unpacked" / "half").write_bytes(b"")
    (tmp_path / "set").mkdir()  # an empty folder is no data set
    assert names(download(three, tmp_path / "set")) == ["labels.mat", "set"]
    assert len(site.asked) == 3


def test_a_bad_archive_is_fetched_again(site: Site, three: list[Archive], tmp_path: Path) -> None:
    good = site.files["/b.zip"]
    for bad in (good[:-30], b"<!DOCTYPE html>"):
        site.files["/b.zip"] = bad
        refused(three, tmp_path / "set", r"b\.zip was not unpacked", kept=("a.zip", "labels.mat"))
    site.files["/b.zip"] = good
    assert names(download(three, tmp_path / "set")) == ["labels.mat", "set"]
    assert site.asked.count("/b.zip") == 3
    assert names(tmp_path) == ["set"]


def test_an_archive_that_unpacks_to_too_much_leaves_nothing(
    site: Site, three: list[Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"b\.zip was not unpacked .it unpacks to more than 1 bytes"):
        download(three, tmp_path / "set", limit=1)
    monkeypatch.setattr(fetch, "MARGIN", 1000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(10**5))
    site.files["/a.zip"] = buffer.getvalue()
    (tmp_path / ".set.download" / "a.zip").unlink()
    refused(three, tmp_path / "set", r"a\.zip was not unpacked .it unpacks to more than", kept=("b.zip", "labels.mat"))


def test_two_at_once(site: Site, three: list[Archive], tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(download, three, tmp_path / "set") for _ in range(4)]
    assert {call.result() for call in calls} == {tmp_path / "set"}
    assert len(site.asked) == 3
    assert names(tmp_path) == ["set"]


@pytest.mark.parametrize("place", ["pooch.downloaders.HTTPDownloader.__call__", "scapnet.data.fetch.unpack"])
def test_a_full_disk_is_one_sentence(
    site: Site, three: list[Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place, full)
    with pytest.raises(ValueError, match=r"cannot write .*No space left on device.; free some space") as error:
        download(three, tmp_path / "set")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "set").exists()


def test_a_folder_that_cannot_be_made(three: list[Archive], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cannot write .*\(Not a directory\)"):
        download(three, tmp_path / "file" / "set")


def test_a_data_set_is_downloaded_by_name_and_read(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made" / "GroceryStoreDataset-1" / "dataset"
    grocery(made)
    shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "made")
    site.files["/file.bin"] = (tmp_path / "archive.zip").read_bytes()
    info = replace(load.INFOS["grocery"], downloads=(Archive(f"{site.url}/file.bin", "grocery.zip"),))
    monkeypatch.setitem(load.INFOS, "grocery", info)
    config = DataConfig("grocery", root=tmp_path / "there", download=True)
    found, again = load.load_data(config), load.load_data(replace(config, download=False))
    assert found.train[0].image.shape[0] == 3
    assert found.train.labels == again.train.labels
    load.load_data(config)
    assert len(site.asked) == 1  # what is there is not fetched again


def test_a_data_set_without_a_download_says_how_to_get_it() -> None:
    with pytest.raises(ValueError, match="VegFru") as error:
        load.load_data(DataConfig("veg200", download=True))
    assert "\n" not in str(error.value)
