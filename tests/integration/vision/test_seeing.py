"""The vision agent as a real process: every kind of file a stranger may send, and an engine that is shown pictures."""

import asyncio
import struct
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import numpy
import psutil
import pytest
from PIL import Image

from concilium.contracts.a2a import parts
from concilium.contracts.a2a.reader import Final
from concilium.contracts.prices import EngineUse
from concilium.contracts.states import TaskState
from support.agents import Agent, Peer, lease, make_agent
from support.engine import images_of, running_engine
from support.heif import rotated
from support.images import corners, marked, opened, saved, until
from support.ports import free_port

LONGEST_EVENT = 48 * 2**20
AGENT_BYTES = 900 * 2**20
"""What the service and all its processes may hold, whatever is sent: pictures open in cells that are gone again."""


@pytest.fixture(scope="module")
def engine_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, engine_port: int) -> Iterator[Agent]:
    """The agent; its vision engine is at a port where a test may serve one."""
    home = tmp_path_factory.mktemp("seeing")
    (home / "mesh.yaml").write_text(f"vision_engine: {{url: 'http://127.0.0.1:{engine_port}/v1', model: seeing-eye}}\n")
    started = make_agent("vision", home)
    started.start()
    yield started
    started.stop()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with aiohttp.ClientSession(read_bufsize=LONGEST_EVENT) as session:
        yield Peer(session)


async def send(
    peer: Peer, agent: Agent, skill: str, *files: bytes, media_type: str = "image/png", name: str = "a", **data: Any
) -> Final:
    refs = [parts.file_ref(name, media_type, content) for content in files]
    given = [ref.model_dump(mode="json") for ref in refs]
    step = lease(
        agent,
        skill,
        {**({"images": given} if skill == "vision.compare" else {"image": given[0]}), **data},
        deadline_s=60.0,
        files=given,
    )
    return await peer.run(agent, step, {ref.sha256: content for ref, content in zip(refs, files, strict=True)})


def held(agent: Agent) -> int:
    """Return the bytes of memory that the service and its processes hold."""
    assert agent.process is not None
    service = psutil.Process(agent.process.pid)
    return sum(process.memory_info().rss for process in (service, *service.children(recursive=True)))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pixel_bomb(width: int = 65_000, height: int = 65_000) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def text_bomb() -> bytes:
    data = saved(marked())
    packed = zlib.compress(bytes(200_000_000), 9)
    return data[:33] + png_chunk(b"zTXt", b"Comment\0\0" + packed) + data[33:]


def frame_bomb(frames: int) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + frame * frames + b";"


def animated(kind: str) -> bytes:
    return saved(marked(), kind, save_all=True, append_images=[Image.new("RGB", (40, 20), c) for c in ("black", "red")])


def gif_of_huge_frame() -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x44\x01\x00;"


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:9/x.png"/></svg>'
REFUSED: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "not-an-image", "the file is empty"),
    "text": ("Просто текст".encode(), "not-an-image", "the bytes are text"),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", "not-an-image", "an HTML page"),
    "noise": (bytes(range(256)) * 40, "not-an-image", "no image of a known format"),
    "svg": (SVG, "unsupported-format", "SVG is a drawing"),
    "svg packed": (b"\x1f\x8b\x08" + bytes(50), "unsupported-format", "compressed"),
    "pdf": (b"%PDF-1.7\n1 0 obj", "unsupported-format", "document.extract"),
    "docx": (b"PK\x03\x04" + bytes(50), "unsupported-format", "document.extract"),
    "video": (b"\0\0\0\x18ftypmp42" + bytes(50), "unsupported-format", "video"),
    "jpeg 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "unsupported-format", "JPEG 2000"),
    "icon": (b"\0\0\1\0\1\0" + bytes(50), "unsupported-format", "ICO"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF\n(/etc/passwd) run", "unsupported-format", "never run"),
    "cut png": (saved(Image.effect_noise((200, 200), 90))[:9000], "image-damaged", "truncated"),
    "cut jpeg": (saved(Image.effect_noise((200, 200), 90), "JPEG")[:3000], "image-damaged", "truncated"),
    "cut heic": (saved(marked(64, 64), "HEIF")[:400], "image-damaged", ""),
    "header only": (b"\x89PNG\r\n\x1a\n", "image-damaged", "begins like PNG"),
    "pixel bomb": (pixel_bomb(), "image-too-large", "65000 x 65000 is more than 64000000 pixels"),
    "just too large": (pixel_bomb(8001, 8000), "image-too-large", "8001 x 8000"),
    "frame larger than the screen": (gif_of_huge_frame(), "image-damaged|image-too-large", ""),
    "bomb in a text chunk": (text_bomb(), "image-damaged", ""),
}

READ: dict[str, tuple[bytes, str, dict[str, Any], str]] = {
    "jpeg called png": (
        saved(marked(), "JPEG"),
        "image/png",
        {"format": "JPEG"},
        "labelled image/png, but the content is",
    ),
    "gif": (animated("GIF"), "image/gif", {"frames": 3}, "3 frames; the first was read"),
    "apng": (animated("PNG"), "image/png", {"frames": 3}, "3 frames; the first was read"),
    "animated webp": (animated("WEBP"), "image/webp", {"frames": 3}, "3 frames; the first was read"),
    "many frames": (
        frame_bomb(200_000),
        "image/gif",
        {"frames": 200_000},
        "200000 frames; the first was read",
    ),
    "heic of two": (
        saved(marked(64, 64), "HEIF", save_all=True, append_images=[Image.new("RGB", (8, 8))]),
        "image/heic",
        {"format": "HEIF", "width": 64, "frames": 2},
        "2 pictures in the file; the main one was read",
    ),
    "turned heic": (rotated(saved(marked(64, 32), "HEIF"), 1), "image/heic", {"width": 32, "height": 64}, ""),
    "avif": (saved(marked(64, 64), "AVIF"), "image/avif", {"format": "AVIF"}, ""),
    "16-bit grey": (saved(Image.new("I;16", (9, 9), 999)), "image/png", {"bits": 16}, "16 bits a channel; read as 8"),
    "cmyk": (saved(Image.new("CMYK", (9, 9)), "JPEG"), "image/jpeg", {"mode": "CMYK"}, "CMYK, made for print"),
    "palette with alpha": (
        saved(Image.new("RGBA", (9, 9), (1, 2, 3, 0)).quantize(4)),
        "image/png",
        {"mode": "P", "has_alpha": True},
        "",
    ),
    "the largest": (saved(Image.new("1", (8000, 8000), 1)), "image/png", {"width": 8000}, ""),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_picture_gets_a_clear_answer(agent: Agent, peer: Peer, case: str) -> None:
    data, kind, words = REFUSED[case]
    ended = await send(peer, agent, "vision.inspect", data)
    assert ended.problem is not None
    assert (ended.state, ended.problem.type in kind.split("|"), ended.problem.retryable) == (
        TaskState.FAILED,
        True,
        False,
    )
    assert words in ended.problem.detail


@pytest.mark.parametrize("case", READ)
async def test_an_odd_picture_is_read_and_what_is_odd_is_said(agent: Agent, peer: Peer, case: str) -> None:
    data, media_type, facts, note = READ[case]
    ended = await send(peer, agent, "vision.inspect", data, media_type=media_type)
    assert ended.state is TaskState.COMPLETED, ended.problem
    assert {name: ended.output[name] for name in facts} == facts
    assert note in " ".join(ended.output["notes"])


@pytest.mark.parametrize("skill", ["vision.ocr", "vision.describe", "vision.ask", "vision.compare"])
@pytest.mark.parametrize("case", ["pixel bomb", "svg", "cut heic", "text"])
async def test_every_skill_answers_alike(agent: Agent, peer: Peer, skill: str, case: str) -> None:
    data, kind, _ = REFUSED[case]
    files = (data, saved(marked())) if skill == "vision.compare" else (data,)
    ended = await send(peer, agent, skill, *files, **({"question": "what?"} if skill == "vision.ask" else {}))
    assert ended.problem is not None
    assert ended.problem.type == kind


async def test_the_picture_goes_through_the_agent_to_the_engine_and_the_answer_comes_back(
    agent: Agent, peer: Peer, engine_port: int
) -> None:
    picture = Image.effect_noise((120, 80), 70).convert("RGB")
    async with running_engine("Серый шум.", port=engine_port, free=True) as engine:
        asked = await send(peer, agent, "vision.ask", saved(picture), question="Что на картинке?")
        described = await send(peer, agent, "vision.describe", saved(marked(64, 64), "HEIF"), media_type="image/heic")
    assert asked.state is TaskState.COMPLETED, asked.problem
    assert asked.used == (EngineUse(engine="vision_engine", input_tokens=1, output_tokens=1),)
    ((_, first),) = images_of(engine.seen[0])
    assert opened(first).tobytes() == picture.tobytes()
    assert engine.seen[0]["messages"][1]["content"][1]["text"] == "Что на картинке?"
    assert (asked.output["text"], asked.output["language"], asked.output["model"]) == ("Серый шум.", "ru", "seeing-eye")
    assert described.state is TaskState.COMPLETED, described.problem
    ((_, second),) = images_of(engine.seen[1])
    assert corners(opened(second)) == ["red", "lime", "blue", "white"]


async def test_an_engine_that_is_away_can_be_tried_again(agent: Agent, peer: Peer) -> None:
    ended = await send(peer, agent, "vision.describe", saved(marked()))
    assert ended.problem is not None
    assert (ended.problem.type, ended.problem.retryable) == ("engine-unreachable", True)


async def test_a_cleaned_copy_and_a_difference_travel_as_files(agent: Agent, peer: Peer) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretMaker"
    data = saved(marked(), "JPEG", exif=exif)
    cleaned = await send(peer, agent, "vision.inspect", data, media_type="image/jpeg", clean=True)
    ((ref, copy),) = cleaned.files
    assert (ref.model_dump(mode="json"), b"Secret" in copy) == (cleaned.output["cleaned"], False)
    compared = await send(peer, agent, "vision.compare", data, copy, media_type="image/jpeg")
    ((drawing, _),) = compared.files
    assert drawing.model_dump(mode="json") == compared.output["difference"]
    assert compared.output["hash_distance"] <= 4


def photo_48_mp() -> bytes:
    rough = numpy.random.default_rng(1).integers(0, 255, (150, 200, 3), dtype=numpy.uint8)
    return saved(Image.fromarray(rough).resize((8000, 6000)), "JPEG", quality=88)


async def test_large_photos_leave_the_agent_small(agent: Agent, peer: Peer) -> None:
    photo = photo_48_mp()
    before = held(agent)
    seen, compared = await asyncio.gather(
        send(peer, agent, "vision.inspect", photo, media_type="image/jpeg"),
        send(peer, agent, "vision.compare", photo, photo, media_type="image/jpeg"),
    )
    assert (seen.output["width"], compared.output["identical"]) == (8000, True)
    await until(lambda: held(agent) < before + 200 * 2**20)
    assert held(agent) < AGENT_BYTES


async def test_a_cancelled_large_photo_ends_within_a_second(agent: Agent, peer: Peer) -> None:
    photo = photo_48_mp()
    ref = parts.file_ref("a.jpg", "image/jpeg", photo)
    given = [ref.model_dump(mode="json")] * 2
    step = lease(agent, "vision.compare", {"images": given}, deadline_s=60.0, files=given)
    running = asyncio.create_task(peer.run(agent, step, {ref.sha256: photo}))
    await until(lambda: cells(agent) > 0)
    started = time.monotonic()
    assert await peer.cancel(agent, step.run_id) == 200
    ended = await running
    await until(lambda: cells(agent) == 0)
    assert time.monotonic() - started < 1.5
    assert ended.state is TaskState.CANCELED


def cells(agent: Agent) -> int:
    """Return how many cells are at work: the children of the service's fork server."""
    assert agent.process is not None
    service = psutil.Process(agent.process.pid)
    return sum(len(child.children()) for child in service.children())


async def test_the_agent_is_well_after_all_of_it(agent: Agent, peer: Peer) -> None:
    bombs = [pixel_bomb(), text_bomb(), gif_of_huge_frame(), saved(Image.new("RGBA", (4000, 4000)))] * 2
    ended = await asyncio.gather(*(send(peer, agent, "vision.inspect", bomb) for bomb in bombs))
    assert {end.state for end in ended} == {TaskState.FAILED, TaskState.COMPLETED}
    last = await send(peer, agent, "vision.inspect", saved(marked()))
    assert last.output["width"] == 40
    assert held(agent) < AGENT_BYTES
    assert "Traceback" not in agent.log.read_text()
