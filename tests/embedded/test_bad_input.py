"""What cannot be served is refused with OpenAI's error object, and the server goes on."""

import socket
from typing import Any

import pytest

from support.embedded.server import SECRET, EmbeddedServer

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]
GOOD: dict[str, Any] = {"model": "tiny", "messages": HELLO, "max_tokens": 2}
BAD: dict[str, tuple[str, Any, int, str | None]] = {
    "no JSON": (CHAT, b"{oh", 400, None),
    "nothing": (CHAT, b"", 400, None),
    "not UTF-8": (CHAT, b'{"model": "\xff"}', 400, None),
    "a list": (CHAT, b"[]", 400, None),
    "too deep": (CHAT, b"[" * 100_000, 400, None),
    "too large": (CHAT, b" " * (9 << 20), 413, None),
    "no model": (CHAT, {"messages": HELLO}, 400, "model"),
    "unknown model": (CHAT, {**GOOD, "model": "gpt"}, 404, "model"),
    "no messages": (CHAT, {**GOOD, "messages": []}, 400, "messages"),
    "a message of the wrong type": (CHAT, {**GOOD, "messages": ["hi"]}, 400, "messages.0"),
    "an unknown role": (CHAT, {**GOOD, "messages": [{"role": "king", "content": ""}]}, 400, "messages.0.role"),
    "a picture": (
        CHAT,
        {**GOOD, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        400,
        "messages.0.content",
    ),
    "temperature of text": (CHAT, {**GOOD, "temperature": "hot"}, 400, "temperature"),
    "temperature beyond": (CHAT, {**GOOD, "temperature": 3}, 400, "temperature"),
    "top_p of zero": (CHAT, {**GOOD, "top_p": 0}, 400, "top_p"),
    "no tokens": (CHAT, {**GOOD, "max_tokens": 0}, 400, "max_tokens"),
    "tokens of a fraction": (CHAT, {**GOOD, "max_tokens": 1.5}, 400, "max_tokens"),
    "too many tokens": (CHAT, {**GOOD, "max_tokens": 10_000}, 400, "messages"),
    "several answers": (CHAT, {**GOOD, "n": 2}, 400, "n"),
    "an empty stop": (CHAT, {**GOOD, "stop": [""]}, 400, "stop"),
    "tools": (CHAT, {**GOOD, "tools": [{"type": "function"}]}, 400, "tools"),
    "a schema of nothing": (CHAT, {**GOOD, "response_format": {"type": "json_schema"}}, 400, "response_format"),
    "a schema that is none": (
        CHAT,
        {**GOOD, "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "stone"}}}},
        400,
        "response_format",
    ),
    "a template's own wrong setting": (CHAT, {**GOOD, "chat_template_kwargs": {"tokenize": 1}}, 400, "messages"),
    "tokens that are none": ("/v1/completions", {"model": "tiny", "prompt": [1, 99999]}, 400, "prompt"),
    "negative tokens": ("/v1/completions", {"model": "tiny", "prompt": [-1]}, 400, "prompt"),
    "an empty prompt": ("/v1/completions", {"model": "tiny", "prompt": ""}, 400, "prompt"),
    "nothing to generate": ("/v1/completions", {"model": "tiny", "prompt": "x", "max_tokens": 0}, 400, None),
    "nothing to count": ("/tokenize", {"model": "tiny"}, 400, None),
    "an adapter without a path": ("/v1/load_lora_adapter", {"lora_name": "x"}, 400, "lora_path"),
}


@pytest.fixture(autouse=True)
def still_serves(server: EmbeddedServer) -> Any:
    """After each case a good request is answered and no row is left."""
    yield
    assert server.call("POST", CHAT, GOOD)[0] == 200
    assert server.call("GET", "/health")[0] == 200


@pytest.mark.parametrize("case", BAD)
def test_is_refused_as_openai_refuses(server: EmbeddedServer, case: str) -> None:
    path, body, wanted, param = BAD[case]
    status, answer = server.call("POST", path, body)
    assert status == wanted, answer
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["message"]
    assert (answer["error"]["param"] or "").startswith(param or "")


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/ready", "/metrics", "/tokenize", CHAT, "/nowhere"])
@pytest.mark.parametrize("secret", [None, "", "wrong", "секрет".encode().decode("latin-1")])
def test_nothing_is_told_without_the_secret(server: EmbeddedServer, path: str, secret: str | None) -> None:
    status, answer = server.call("GET", path, secret=secret)
    assert status == 401
    assert answer["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(("method", "path", "wanted"), [("GET", "/v2/models", 404), ("GET", CHAT, 405)])
def test_there_is_nothing_else(server: EmbeddedServer, method: str, path: str, wanted: int) -> None:
    status, answer = server.call(method, path)
    assert (status, answer["error"]["code"]) == (wanted, "unknown_url")


def half(server: EmbeddedServer) -> socket.socket:
    """Return a connection on which half of a request was sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: 1000\r\n\r\n"
    connection.sendall(head.encode() + b'{"model": "tiny", ')
    return connection


def test_half_a_request_is_given_up(server: EmbeddedServer) -> None:
    with half(server) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_a_client_that_leaves_in_the_middle_of_its_request_is_forgotten(server: EmbeddedServer) -> None:
    for _ in range(20):
        half(server).close()
    assert "Traceback" not in server.said()


def test_garbage_on_the_wire_is_refused(server: EmbeddedServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01\x02garbage\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")
