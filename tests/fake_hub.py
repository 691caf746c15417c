"""A Hugging Face hub on this machine that holds models in memory: what `huggingface_hub` asks for and nothing more."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

Commit = dict[str, bytes]


class FakeHub(BaseHTTPRequestHandler):
    """``/api/models/OWNER/NAME/...`` and ``/OWNER/NAME/resolve/REVISION/FILE``."""

    protocol_version = "HTTP/1.1"
    repositories: dict[str, dict[str, Commit]]  # by repository and revision
    tokens: set[str]  # that were seen

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def as_json(self, value: Any) -> None:
        self.answer(json.dumps(value).encode(), Content_Type="application/json")

    def do_GET(self) -> None:
        parts = [unquote(part) for part in self.path.partition("?")[0].strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            revisions, revision = self.repositories.get("/".join(parts[2:4]), {}), (parts[5:] or ["main"])[0]
        elif parts[2:3] == ["resolve"]:
            revisions, revision = self.repositories.get("/".join(parts[:2]), {}), parts[3]
        else:
            return self.answer(b"", 404)
        self.tokens.add(self.headers.get("Authorization", ""))
        found = next((r for r in revisions if revision in (r, sha(revisions[r]))), None)
        if found is None:
            missing = "RevisionNotFound" if revisions else "RepoNotFound"
            return self.answer(b"{}", 404, X_Error_Code=missing)
        files = revisions[found]
        if parts[4:5] == ["tree"]:
            rows = [{"type": "file", "path": name, "oid": "0", "size": len(files[name])} for name in files]
            return self.as_json(rows)
        if parts[0] == "api":
            names = [{"rfilename": name} for name in files]
            return self.as_json({"id": "/".join(parts[2:4]), "sha": sha(files), "siblings": names})
        name = "/".join(parts[4:])
        if name not in files:
            return self.answer(b"", 404, X_Error_Code="EntryNotFound")
        tag = hashlib.sha256(files[name]).hexdigest()
        return self.answer(files[name], ETag=f'"{tag}"', X_Repo_Commit=sha(files))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        host, parts = f"http://{self.headers['Host']}", self.path.partition("?")[0].strip("/").split("/")
        name = "/".join(parts[2:4])
        if parts[1:] == ["repos", "create"]:
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.repositories.setdefault(name, {"main": {}})
            return self.as_json({"url": f"{host}/{name}", "id": name, "name": name})
        if parts[-2:-1] == ["preupload"]:
            files = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]
            return self.as_json({"files": modes})
        if parts[-2:-1] == ["commit"]:
            self.tokens.add(self.headers.get("Authorization", ""))
            lines = [json.loads(line) for line in body.splitlines()]
            new = {v["value"]["path"]: base64.b64decode(v["value"]["content"]) for v in lines if v["key"] == "file"}
            branch = self.repositories[name].setdefault(parts[-1], {})
            branch.update(new)
            url = f"{host}/{name}/commit/{sha(branch)}"
            return self.as_json({"success": True, "commitOid": sha(branch), "commitUrl": url, "hookOutput": ""})
        return self.as_json({"errors": [], "warnings": []})  # of the card's metadata


def sha(files: Commit) -> str:
    """The name of a commit."""
    return hashlib.sha1(b"".join(name.encode() + content for name, content in sorted(files.items()))).hexdigest()


@contextmanager
def running() -> Iterator[tuple[str, type[FakeHub]]]:
    """A hub without models, its address and its contents."""

    class Own(FakeHub):
        repositories: dict[str, dict[str, Commit]] = {}  # noqa: RUF012
        tokens: set[str] = set()  # noqa: RUF012

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Own
        server.shutdown()
        thread.join()
