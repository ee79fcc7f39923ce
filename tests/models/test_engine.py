"""The engine client with a real model behind a real server: whole, streamed, with thoughts asked of a model without."""

import pytest

from concilium.engine import Chat, Delta, EngineClient
from support.chat_server import MODELS
from support.served_models.server import ModelServer

pytestmark = pytest.mark.timeout(900)
"""The first test of a session waits until the models are there and the server has imported PyTorch."""

SERVER = "code_server"
CHAT = Chat([{"role": "system", "content": "You plan."}, {"role": "user", "content": "Do the usual"}], mode="fast")


async def streamed(client: EngineClient, chat: Chat) -> list[Delta]:
    async with client.stream(chat) as coming:
        return [delta async for delta in coming]


async def test_a_streamed_answer_is_the_whole_one_in_pieces(served: ModelServer) -> None:
    async with EngineClient(served.config(), MODELS) as client:
        whole = await client.complete(Chat(CHAT.messages, mode="fast", max_tokens=40))
        pieces = await streamed(client, Chat(CHAT.messages, mode="fast", max_tokens=40))
    assert whole.content
    assert "".join(piece.content for piece in pieces) == whole.content
    assert len(pieces) > 2
    assert pieces[-1].finish_reason == whole.finish_reason


async def test_a_stream_that_is_left_lets_the_next_one_be_answered(served: ModelServer) -> None:
    async with EngineClient(served.config(), MODELS) as client:
        async with client.stream(Chat(CHAT.messages, mode="fast", max_tokens=2000)) as coming:
            await anext(coming)
        assert (await client.complete(Chat(CHAT.messages, mode="fast", max_tokens=5))).content
