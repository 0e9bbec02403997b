"""A Hugging Face Hub on 127.0.0.1, held in memory, for tests of code that pushes and pulls.

    with LoopbackHub() as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        hub.faults["commit"].append(Fault(status=503))  # the next commit is refused

Another process reaches it with `env=hub.env(hf_home)`. Large files go up over plain LFS: the client
has to run with HF_HUB_DISABLE_XET, which `env` sets. What this hub does not know it answers with
501, so that no test passes because a missing endpoint looked like a missing file.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import datasets
import pytest
import uvicorn
import yaml
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from huggingface_hub import HfFileSystem, constants
from starlette.types import Receive, Scope, Send
from transformers.utils import hub as hub_of_transformers

Json = dict[str, Any]
PREFIXES = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}  # of the URLs of a kind
LFS_SUFFIXES = (".bin", ".onnx", ".parquet", ".pt", ".safetensors", ".zip")
LFS_SIZE = 10_000_000  # a file this large is LFS whatever its name
OTHER_HUB = re.compile(r"(?i)(HF|HUGGING_?FACE\w*|TRANSFORMERS|DATASETS)_.*|.*_proxy")


class HubError(Exception):
    """An answer other than success; status 0 closes the connection without one."""

    def __init__(self, status: int, code: str = "", message: str = "", sha: str = ""):
        super().__init__(message or code)
        self.status = status
        named = {"X-Error-Code": code, "X-Error-Message": message, "X-Repo-Commit": sha}
        self.headers = {name: value for name, value in named.items() if value}


class CutShort(Response):
    """The headers, then the end of the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": b"", "more_body": True})


@dataclass(frozen=True)
class Fault:
    """How one request fails: with `status`, or with 0 by dropping the connection."""

    status: int = 0
    share: float = 0.5  # of the body that passes before the connection drops

    def strike(self) -> None:
        raise HubError(self.status, message="fault asked for by the test")


def blob_id(data: bytes) -> str:
    """The id git gives a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_lfs(path: str, size: int, sample: bytes) -> bool:
    return size >= LFS_SIZE or path.endswith(LFS_SUFFIXES) or b"\0" in sample


def front_matter(text: str) -> Json:
    """The metadata at the top of a README.md."""
    found = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    card = yaml.safe_load(found[1]) if found else None
    return card if isinstance(card, dict) else {}


@dataclass(frozen=True)
class Commit:
    sha: str
    message: str
    date: str
    files: Mapping[str, bytes]
    lfs: frozenset[str]  # which of the files are LFS

    def etag(self, path: str) -> str:
        return (sha256 if path in self.lfs else blob_id)(self.files[path])

    def folders(self) -> set[str]:
        return {str(up) for path in self.files for up in Path(path).parents} - {"."}

    def entry(self, path: str, expand: bool = False) -> Json:
        """What the Hub tells about a file or folder; its last commit is taken to be this one."""
        last = {"lastCommit": {"id": self.sha, "title": self.message, "date": self.date}}
        entry: Json = {"path": path, "size": 0, **(last if expand else {})}
        if path not in self.files:
            return {**entry, "type": "directory", "oid": blob_id(path.encode())}
        oid, size = self.etag(path), len(self.files[path])
        entry |= {"type": "file", "oid": oid, "size": size}
        if path in self.lfs:
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"
            entry["oid"] = blob_id(pointer.encode())
            entry["lfs"] = {"oid": oid, "sha256": oid, "size": size, "pointerSize": len(pointer)}
        return entry


@dataclass
class Repo:
    kind: str
    id: str
    private: bool = False
    sdk: str | None = None
    commits: list[Commit] = field(default_factory=list)  # of all branches, oldest first
    heads: dict[str, Commit] = field(default_factory=dict)  # newest commit of each branch
    objects: dict[str, bytes] = field(default_factory=dict)  # uploaded LFS content by sha256

    @property
    def head(self) -> Commit:
        return self.heads["main"]

    def at(self, revision: str) -> Commit:
        if revision in self.heads:
            return self.heads[revision]
        for commit in self.commits:
            if revision == commit.sha:
                return commit
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def commit(
        self, message: str, files: Mapping[str, bytes], lfs: Iterable[str], branch: str = "main"
    ) -> Commit:
        """Put a whole new state on a branch."""
        date = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        content = [(path, blob_id(files[path])) for path in sorted(files)]
        seed = repr((self.kind, self.id, len(self.commits), message, content))
        sha = hashlib.sha1(seed.encode()).hexdigest()
        commit = Commit(sha, message, date, dict(files), frozenset(lfs) & files.keys())
        self.commits.append(commit)
        self.heads[branch] = commit
        return commit

    def apply(self, lines: Iterable[Json], branch: str) -> Commit:
        """Commit the operations of a request, all of them or none."""
        head = self.heads[branch]
        files, lfs, message = dict(head.files), set(head.lfs), ""
        for key, value in ((line["key"], line["value"]) for line in lines):
            path = value.get("path", "")
            if key == "header":
                message = value["summary"]
                if not head.sha.startswith(value.get("parentCommit", "")):
                    raise HubError(412, message="A commit has happened since. Please refresh.")
            elif key == "file":
                files[path] = base64.b64decode(value["content"])
                lfs.discard(path)
            elif key == "lfsFile" and value["oid"] in self.objects:
                files[path] = self.objects[value["oid"]]
                lfs.add(path)
            elif key in ("deletedFile", "deletedFolder"):
                inside = f"{path.rstrip('/')}/"
                gone = {p for p in files if p == path or p.startswith(inside)}
                if not gone:
                    raise HubError(404, "EntryNotFound", "A file with this name doesn't exist")
                files = {p: data for p, data in files.items() if p not in gone}
            else:
                raise HubError(400, message=f"{key} of {path} cannot be committed")
        return self.commit(message, files, lfs, branch)


class LoopbackHub:
    """The hub as a context manager; `repos`, `faults` and `requests` are there for the test."""

    def __init__(self, user: str = "tester"):
        self.endpoint = ""  # known once the hub runs
        self.token = f"hf_{secrets.token_hex(17)}"
        self.tokens = {self.token: user}  # a test may add a second user
        self.repos: dict[tuple[str, str], Repo] = {}  # by ("model", "tester/name")
        self.faults: dict[str, list[Fault]] = defaultdict(list)  # of "commit" and "lfs"
        self.requests: list[tuple[str, str]] = []  # method, path
        self.tickets: dict[str, tuple[Repo, str, int]] = {}  # announced LFS uploads

    def __enter__(self) -> "LoopbackHub":
        app = FastAPI(openapi_url=None, exception_handlers={HubError: answer_error})
        app.state.hub = self
        app.include_router(router)
        listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        quiet = {"log_config": None, "log_level": "critical"}  # a dropped connection is no news
        plain = {"http": "h11", "loop": "asyncio", "ws": "none", "lifespan": "off"}
        config = uvicorn.Config(app, **plain, **quiet, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the loopback hub did not start")
            time.sleep(0.005)
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        if self._thread.is_alive():
            raise RuntimeError("the loopback hub did not stop")

    def create(
        self, kind: str, repo_id: str, files: Mapping[str, bytes] | None = None, **more: Any
    ) -> Repo:
        """Make a repo without a client, with `files` as its second commit."""
        repo = self.repos[kind, repo_id] = Repo(kind, repo_id, **more)
        lines = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs\n" for suffix in LFS_SUFFIXES)
        first = repo.commit("initial commit", {".gitattributes": lines.encode()}, ())
        if files:
            lfs = [path for path, data in files.items() if is_lfs(path, len(data), data[:512])]
            repo.commit("add files", {**first.files, **files}, lfs)
        return repo

    def user(self, request: Request) -> str | None:
        """Whose token came with the request; None without one."""
        header = request.headers.get("authorization")
        user = self.tokens.get(header.removeprefix("Bearer ")) if header else None
        if header and not user:
            raise HubError(401, message="Invalid credentials in Authorization header")
        return user

    def env(self, hf_home: str | Path, **more: str) -> dict[str, str]:
        """The environment of a process that knows this hub, no other and no proxy."""
        ours = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(hf_home), "HF_TOKEN": self.token}
        ours |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        ours["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"  # datasets would count loads at an S3 address
        kept = {name: os.environ[name] for name in os.environ if not OTHER_HUB.fullmatch(name)}
        return kept | ours | more


def point_client_at(hub: LoopbackHub, patch: pytest.MonkeyPatch, cache: Path | None = None) -> None:
    """Let the libraries in this process know `hub` and no other; they read settings at import."""
    patch.setattr(hub_of_transformers, "_hf_api", None)  # made for another hub, if at all
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "ENDPOINT", hub.endpoint)
    files = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    if cache:  # tests that download give one
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(datasets.config, "HF_ENDPOINT", hub.endpoint)
    patch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    patch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)  # at an S3 address
    HfFileSystem.clear_instance_cache()
    patch.setenv("HF_TOKEN", hub.token)


async def answer_error(_: Request, error: Any) -> Response:
    if error.status == 0:
        return CutShort(b"lost")
    return JSONResponse({"error": str(error)}, error.status, error.headers)


async def hub_of(request: Request) -> LoopbackHub:
    """The hub that was asked, with the request noted; FastAPI calls this once a request."""
    hub = request.app.state.hub
    hub.requests.append((request.method, request.url.path))
    return hub


Hub = Annotated[LoopbackHub, Depends(hub_of)]


async def readable(request: Request, hub: Hub, ns: str, name: str, kind: str = "models") -> Repo:
    if kind not in PREFIXES:
        raise HubError(501, message=f"the loopback hub has no {kind}")
    user, repo = hub.user(request), hub.repos.get((kind[:-1], f"{ns}/{name}"))
    if repo is None or (repo.private and user != ns):  # the two look alike from outside
        raise HubError(404 if user else 401, "RepoNotFound", "Repository not found")
    return repo


async def writable(request: Request, hub: Hub, repo: Annotated[Repo, Depends(readable)]) -> Repo:
    user = hub.user(request)
    if user != repo.id.split("/")[0]:
        raise HubError(403 if user else 401, message="no write access to this repo")
    return repo


Readable = Annotated[Repo, Depends(readable)]
Writable = Annotated[Repo, Depends(writable)]
router = APIRouter(dependencies=[Depends(hub_of)])
API = "/api/{kind}/{ns}/{name}"


async def receive_body(request: Request, faults: list[Fault]) -> bytes:
    """The body of an upload, unless a fault strikes it."""
    fault = faults.pop(0) if faults else None
    body, size = bytearray(), int(request.headers.get("content-length", 0))
    async for chunk in request.stream():
        body += chunk
        if fault and not fault.status and len(body) >= size * fault.share:
            fault.strike()
    if fault:
        fault.strike()
    return bytes(body)


@router.get("/api/whoami-v2")
async def whoami(request: Request, hub: Hub) -> Json:
    user = hub.user(request)
    if user is None:
        raise HubError(401, message="Invalid username or password.")
    auth = {"type": "access_token", "accessToken": {"displayName": "loopback", "role": "write"}}
    return {"type": "user", "id": user, "name": user, "fullname": user, "orgs": [], "auth": auth}


@router.post("/api/repos/create")
async def create_repo(request: Request, hub: Hub) -> Response:
    user, asked = hub.user(request), await request.json()
    kind, owner = asked.get("type") or "model", asked.get("organization") or user
    if user is None or owner != user:
        raise HubError(403 if user else 401, message=f"no right to create a repo of {owner}")
    repo_id = f"{owner}/{asked['name']}"
    answer = {"url": f"{hub.endpoint}/{PREFIXES[kind + 's']}{repo_id}", "name": repo_id}
    if (kind, repo_id) in hub.repos:
        return JSONResponse({"error": f"You already created this {kind} repo", **answer}, 409)
    hub.create(kind, repo_id, private=asked.get("visibility") == "private", sdk=asked.get("sdk"))
    return JSONResponse(answer)


@router.post("/api/validate-yaml")
async def validate_yaml(request: Request) -> Response:
    try:
        card = front_matter((await request.json())["content"])
    except yaml.YAMLError as error:
        return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
    empty = [{"message": "empty or missing yaml metadata in repo card"}]
    return JSONResponse({"errors": [], "warnings": [] if card else empty})


@router.post(API + "/preupload/{rev:path}")
async def preupload(repo: Writable, rev: str, request: Request) -> Json:
    commit, files = repo.at(rev), []
    for asked in (await request.json())["files"]:
        path, sample = asked["path"], base64.b64decode(asked["sample"])
        mode = "lfs" if is_lfs(path, asked["size"], sample) else "regular"
        oid = commit.etag(path) if path in commit.files else None  # lets the client skip the file
        files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return {"files": files}


@router.post("/{ns}/{name}.git/info/lfs/objects/batch")
@router.post("/{kind}/{ns}/{name}.git/info/lfs/objects/batch")
async def lfs_batch(repo: Writable, request: Request, hub: Hub) -> Json:
    objects = [{"oid": o["oid"], "size": o["size"]} for o in (await request.json())["objects"]]
    for wanted in (wanted for wanted in objects if wanted["oid"] not in repo.objects):
        ticket = secrets.token_hex(16)  # an upload carries no token: its URL is the secret
        hub.tickets[ticket] = (repo, wanted["oid"], wanted["size"])
        wanted["actions"] = {"upload": {"href": f"{hub.endpoint}/lfs-objects/{ticket}"}}
    return {"transfer": "basic", "objects": objects}


@router.put("/lfs-objects/{ticket}")
async def lfs_put(ticket: str, request: Request, hub: Hub) -> Response:
    data = await receive_body(request, hub.faults["lfs"])
    repo, oid, size = hub.tickets.get(ticket, (None, "", 0))
    if repo is None or (sha256(data), len(data)) != (oid, size):
        raise HubError(400, message="size or sha256 is not what was announced")
    repo.objects[oid] = data
    return Response()


@router.post(API + "/commit/{rev:path}")
async def make_commit(repo: Writable, rev: str, request: Request, hub: Hub) -> Json:
    body = await receive_body(request, hub.faults["commit"])
    if "create_pr" in request.query_params:
        raise HubError(501, message="the loopback hub has no pull requests")
    if rev not in repo.heads:
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {rev}")
    commit = repo.apply((json.loads(line) for line in body.splitlines()), rev)
    url = f"{hub.endpoint}/{PREFIXES[repo.kind + 's']}{repo.id}/commit/{commit.sha}"
    return {"success": True, "commitOid": commit.sha, "commitUrl": url}


@router.post(API + "/branch/{branch:path}")
async def create_branch(repo: Writable, branch: str, request: Request) -> Response:
    if branch in repo.heads:
        raise HubError(409, message=f"Reference {branch} already exists")
    body = await request.body()
    start = json.loads(body or b"{}").get("startingPoint", "main")
    repo.heads[branch] = repo.at(start)
    return Response()


@router.get(API)
@router.get(API + "/revision/{rev:path}")
async def repo_info(repo: Readable, rev: str = "main", blobs: bool = False) -> Json:
    commit, siblings = repo.at(rev), []
    for path in sorted(commit.files):
        entry = commit.entry(path)
        more = {"size": entry["size"], "blobId": entry["oid"], "lfs": entry.get("lfs")}
        siblings.append({"rfilename": path, **(more if blobs else {})})
    card = front_matter(commit.files.get("README.md", b"").decode())
    info = {"id": repo.id, "author": repo.id.split("/")[0], "sha": commit.sha, "sdk": repo.sdk}
    info |= {"private": repo.private, "gated": False, "disabled": False, "siblings": siblings}
    info |= {"createdAt": repo.commits[0].date, "lastModified": commit.date, "cardData": card}
    return {**info, "tags": card.get("tags", []), "pipeline_tag": card.get("pipeline_tag")}


@router.get(API + "/tree/{rev}")
@router.get(API + "/tree/{rev}/{path:path}")
async def tree(
    repo: Readable, rev: str, path: str = "", recursive: bool = False, expand: bool = False
) -> list[Json]:
    commit = repo.at(rev)
    if path and path not in commit.folders():
        raise HubError(404, "EntryNotFound", f"{path} does not exist on {rev}", commit.sha)
    inside = f"{path}/" if path else ""
    below = sorted(p for p in {*commit.files, *commit.folders()} if p.startswith(inside))
    return [commit.entry(p, expand) for p in below if recursive or "/" not in p[len(inside) :]]


@router.post(API + "/paths-info/{rev:path}")
async def paths_info(repo: Readable, rev: str, request: Request) -> list[Json]:
    commit, form = repo.at(rev), parse_qs((await request.body()).decode())
    expand, known = form.get("expand") == ["true"], {*commit.files, *commit.folders()}
    return [commit.entry(path, expand) for path in form.get("paths", []) if path in known]


@router.api_route("/{ns}/{name}/resolve/{rev}/{path:path}", methods=["GET", "HEAD"])
@router.api_route("/{kind}/{ns}/{name}/resolve/{rev}/{path:path}", methods=["GET", "HEAD"])
async def resolve(repo: Readable, rev: str, path: str, request: Request) -> Response:
    commit = repo.at(rev)
    if path not in commit.files:
        raise HubError(404, "EntryNotFound", "Entry not found", commit.sha)
    data, etag, status = commit.files[path], f'"{commit.etag(path)}"', 200
    headers = {"X-Repo-Commit": commit.sha, "ETag": etag, "Accept-Ranges": "bytes"}
    if path in commit.lfs:
        headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(len(data))}
    # Parquet is streamed by ranges.
    if asked := re.fullmatch(r"bytes=(\d+)-(\d*)|bytes=-(\d+)", request.headers.get("range", "")):
        start = int(asked[1]) if asked[1] else max(len(data) - int(asked[3]), 0)
        data, size = data[start : int(asked[2]) + 1 if asked[2] else None], len(data)
        headers["Content-Range"] = f"bytes {start}-{start + len(data) - 1}/{size}"
        status = 206
    return Response(data, status, headers)


@router.api_route("/{rest:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def anything_else(rest: str, request: Request) -> Response:
    raise HubError(501, message=f"the loopback hub has no {request.method} /{rest}")
