"""The page as a tool of agents: a client of the Model Context Protocol, over loopback."""

import asyncio
import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from hostile_pictures import encoded, png_of_size
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from space.visitors import API, HTTP, ask, upload
from tiny_models import picture

from hybridsent_space.calls import Calls
from hybridsent_space.gate import Gate
from hybridsent_space.settings import Settings

IMAGE = encoded(picture(1), "PNG")


def data_url(content):
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def as_client(space, *requests):
    """Return the server's answers to requests, each a method of the client's session and its inputs."""

    async def ask_all():
        async with (
            streamable_http_client(f"{space.url}{API}/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            return [await getattr(session, name)(*inputs) for name, *inputs in requests]

    return asyncio.run(ask_all())


def use_tool(space, *posts, tool="score_post"):
    """Return for each post whether the tool refused it, and what it said."""
    answers = as_client(space, *[("call_tool", tool, post) for post in posts])
    return [(answer.isError, answer.content[0].text) for answer in answers]


def test_an_agent_finds_one_tool_and_endpoints_that_say_what_they_do(space):
    tools, resources, prompts = as_client(
        space, ("list_tools",), ("list_resources",), ("list_prompts",)
    )
    (tool,) = tools.tools
    assert (resources.resources, prompts.prompts) == ([], [])
    assert tool.name == "score_post"
    assert tool.description.startswith("Score the sentiment of a post")
    inputs = tool.inputSchema
    assert list(inputs["properties"]) == ["text", "image"]
    assert "required" not in inputs
    assert "data:image/png;base64" in inputs["properties"]["image"]["description"]
    assert "Leave it out" in inputs["properties"]["text"]["description"]
    # The Hub writes the agents.md of a Space from this.
    endpoints = HTTP.get(f"{space.url}{API}/info").json()
    assert set(endpoints["named_endpoints"]) == {
        "/predict", "/explain", "/predict_table", "/score_post",
    }  # fmt: skip
    assert endpoints["unnamed_endpoints"] == {}
    for endpoint in endpoints["named_endpoints"].values():
        assert endpoint["description"].endswith(".")
        assert {each["parameter_name"] for each in endpoint["parameters"]} <= {
            "text",
            "image",
            "file",
        }


def test_the_tool_answers_as_the_page(space):
    text = "a happy \N{SMILING FACE WITH OPEN MOUTH} day"
    posts = [{"text": text, "image": data_url(IMAGE)}, {"text": text}, {"image": data_url(IMAGE)}]
    expected = [
        ask(space.url, post.get("text"), IMAGE if "image" in post else None) for post in posts
    ]
    for (refused, said), page in zip(use_tool(space, *posts), expected, strict=True):
        answer = json.loads(said)
        assert not refused
        assert answer.keys() == page.keys()
        assert {"label", "score", "branches", "summary"} <= answer.keys()
        close = {x: pytest.approx(page[x], abs=1e-5) for x in ("score", "scores", "energy")}
        same = ("label", "agreement", "familiar", "summary", "warnings")
        assert answer == {**answer, **close, **{x: page[x] for x in same}}


@pytest.fixture
def web():
    """An address that counts who comes."""
    visits = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            visits.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(IMAGE)

        do_HEAD = do_POST = do_GET  # noqa: N815

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/photo.png", visits
        server.shutdown()


def test_the_tool_fetches_no_address_and_reads_no_file(space, web, tmp_path):
    address, visits = web
    secret = tmp_path / "secret.png"
    secret.write_bytes(IMAGE)
    sent = upload(space.url, "photo.png", IMAGE)
    images = [address, str(secret), f"file://{secret}", sent["path"]]
    images.append(f"{space.url}{API}/file={sent['path']}")
    for refused, said in use_tool(space, *[{"text": "a", "image": image} for image in images]):
        assert refused
        assert "addresses are not fetched, and no file of the server is read" in said
    files = [{"path": place, "url": address, **sent} for place in (str(secret), address)]
    others = [{"text": "a", "image": file} for file in files] + [{"text": files[0]}]
    for refused, said in use_tool(space, *others):
        assert refused
        assert said.startswith("Input validation error")
    for tool, inputs in (("predict", {"text": "a", "image": address}), ("predict_table", {})):
        ((refused, said),) = use_tool(space, inputs | {"file": address}, tool=tool)
        assert (refused, "Unknown tool" in said) == (True, True)
    assert visits == []


def test_the_limits_of_the_page_hold_for_the_tool(space):
    posts = {
        "text has 5,001 characters": {"text": "x" * 5_001},
        "more than max_image_pixels=2000000": {"image": data_url(png_of_size(2_000, 1_001))},
        "is not a JPEG, PNG": {"image": data_url(b"no image")},
        "The image is not base64": {"image": data_url(IMAGE)[:-3] + "?"},
        "post is empty": {},
    }
    for (refused, said), message in zip(use_tool(space, *posts.values()), posts, strict=True):
        assert (refused, message in said) == (True, True), said


def post_body(space, path, body):
    kinds = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    return HTTP.post(f"{space.url}{API}/{path}", content=body, headers=kinds)


def test_what_is_no_call_of_the_tool_does_not_reach_it(space):
    read = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "file:///a"}}
    for method in ("resources/read", "prompts/get"):
        answer = post_body(space, "mcp", json.dumps({**read, "method": method}))
        assert (answer.status_code, "tools alone" in answer.text) == (400, True)
    for path in ("mcp/", "run/score_post"):
        answer = post_body(space, path, b'{"data": ["' + b"x" * 2_000_000 + b'"]}')
        assert (answer.status_code, "Send a smaller image" in answer.text) == (413, True)
    assert HTTP.get(f"{space.url}{API}/mcp/sse").status_code == 404


def test_calls_past_the_queue_are_as_few_as_may_wait(tmp_path):
    async def two_at_once():
        begun, end = asyncio.Event(), asyncio.Event()

        async def slow(scope, receive, send):
            begun.set()
            await end.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        gate = Gate(slow, Calls({}, {}, tmp_path), None, Settings(max_waiting=1))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gate)) as client:
            first = asyncio.create_task(client.post("http://page/gradio_api/mcp", json={}))
            await begun.wait()
            second = await client.post("http://page/gradio_api/mcp", json={})
            end.set()
            first = await first
            third = await client.post("http://page/gradio_api/mcp", json={})
        return first, second, third

    first, second, third = asyncio.run(two_at_once())
    assert [x.status_code for x in (first, second, third)] == [200, 503, 200]
    assert second.json()["detail"] == "Queue is full. Max size is 1"
