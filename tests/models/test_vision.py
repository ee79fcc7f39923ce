"""The vision agent asks a real vision-language model behind a real server: its answers depend on the pixels.

The model is small, trained by the project, and knows pictures of one figure on a plain ground; nothing here measures
how well a large model sees. It proves that the bytes of a picture arrive at a model upright and readable, and that its
answer comes back.
"""

import asyncio
import io
import random
import signal
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from concilium.contracts.a2a import parts
from concilium.contracts.a2a.reader import Final
from concilium.contracts.states import TaskState
from support.agents import Agent, Peer, lease
from support.served_models.pictures import COLOURS, Scene, draw
from support.served_models.server import ModelServer
from support.served_models.vision_lessons import QUESTIONS, RUSSIAN, RUSSIAN_QUESTION

pytestmark = pytest.mark.timeout(900)
"""The first test of a session waits until the models are there and the server has imported PyTorch."""

AGENT, SECTION, SERVER = "vision", "vision_engine", "vision_server"
ORIENTATION = 0x0112
"""The EXIF tag."""
TURNED_RIGHT = 6
"""Its value of a picture that is to be turned a quarter to the right before it is shown."""


def picture(scene: Scene, size: tuple[int, int] = (320, 240), seed: int = 7) -> Image.Image:
    return draw(scene, random.Random(seed), size)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


async def call(peer: Peer, agent: Agent, skill: str, data: bytes, media_type: str = "image/png", **more: Any) -> Final:
    ref = parts.file_ref(f"picture.{media_type.partition('/')[2]}", media_type, data)
    shown = {"image": ref.model_dump(mode="json"), **more}
    step = lease(agent, skill, shown, deadline_s=100.0, files=[shown["image"]])
    return await peer.run(agent, step, {ref.sha256: data})


async def answer(peer: Peer, agent: Agent, question: str, data: bytes, media_type: str = "image/png") -> str:
    found = await call(peer, agent, "vision.ask", data, media_type, question=question)
    assert found.state is TaskState.COMPLETED, found.problem
    return str(found.output["text"])


async def test_the_same_question_is_answered_by_what_each_picture_shows(asks: Agent, peer: Peer) -> None:
    scenes = [Scene(colour, "circle", "top left", "white") for colour in COLOURS]
    said = await asyncio.gather(*(answer(peer, asks, QUESTIONS["colour"], encoded(picture(scene))) for scene in scenes))
    assert said == [f"The figure is {scene.colour}." for scene in scenes]


async def test_each_question_about_one_picture_has_its_own_answer(asks: Agent, peer: Peer) -> None:
    data = encoded(picture(Scene("purple", "square", "bottom right", "orange")))
    said = {fact: await answer(peer, asks, question, data) for fact, question in QUESTIONS.items()}
    assert said == {
        "colour": "The figure is purple.",
        "shape": "It is a square.",
        "place": "The figure is at the bottom right.",
        "background": "The background is orange.",
    }


async def test_a_question_in_russian_is_answered_in_russian(asks: Agent, peer: Peer) -> None:
    data = encoded(picture(Scene("green", "circle", "bottom left", "grey")))
    found = await call(peer, asks, "vision.ask", data, question=RUSSIAN_QUESTION)
    assert (found.state, found.output["text"], found.output["language"]) == (
        TaskState.COMPLETED,
        RUSSIAN["green"],
        "ru",
    )


async def test_a_description_tells_what_the_picture_shows_and_names_the_model(asks: Agent, peer: Peer) -> None:
    for scene, length in (
        (Scene("blue", "circle", "top right", "white"), "short"),
        (Scene("yellow", "square", "bottom left", "grey"), "full"),
    ):
        found = await call(peer, asks, "vision.describe", encoded(picture(scene)), length=length)
        assert found.state is TaskState.COMPLETED, found.problem
        assert found.output["text"] == scene.facts["description"]
        assert found.output["model"] == "tiny-vision"


async def test_a_turned_phone_photo_reaches_the_model_upright(asks: Agent, peer: Peer) -> None:
    upright = picture(Scene("red", "circle", "top left", "white"), (480, 360))
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED_RIGHT
    place = QUESTIONS["place"]
    assert await answer(peer, asks, place, encoded(stored, "JPEG", quality=92), "image/jpeg") == (
        "The figure is at the bottom left."
    )
    turned = encoded(stored, "JPEG", quality=92, exif=exif)
    assert await answer(peer, asks, place, turned, "image/jpeg") == "The figure is at the top left."


async def test_a_heic_photo_reaches_the_model(asks: Agent, peer: Peer) -> None:
    file = io.BytesIO()
    pillow_heif.from_pillow(picture(Scene("yellow", "circle", "top left", "grey"), (640, 480))).save(file, quality=90)
    assert await answer(peer, asks, QUESTIONS["colour"], file.getvalue(), "image/heic") == "The figure is yellow."


async def test_a_large_picture_is_scaled_down_and_still_answered(asks: Agent, peer: Peer) -> None:
    data = encoded(picture(Scene("blue", "square", "top right", "white"), (3000, 2000)))
    found = await call(peer, asks, "vision.ask", data, question=QUESTIONS["colour"])
    assert found.state is TaskState.COMPLETED, found.problem
    assert (found.output["sent"]["width"], found.output["text"]) == (1536, "The figure is blue.")


async def test_a_killed_server_is_a_failure_worth_trying_again_and_the_next_one_answers(
    asks: Agent, peer: Peer, served: ModelServer
) -> None:
    data = encoded(picture(Scene("red", "square", "top left", "white")))
    served.stop(signal.SIGKILL)
    found = await call(peer, asks, "vision.ask", data, question=QUESTIONS["colour"])
    assert found.state is TaskState.FAILED
    assert found.problem is not None
    assert (found.problem.type, found.problem.retryable) == ("engine-unreachable", True)
    served.start()
    assert await answer(peer, asks, QUESTIONS["colour"], data) == "The figure is red."
