"""What a chat is made of, as OpenAI's API reference writes it."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict

from concilium.contracts.base import JSON


class TextPart(TypedDict):
    """A text inside a message of several parts."""

    type: Literal["text"]
    text: str


class ImageUrl(TypedDict):
    """Where an image is; here always a ``data:`` URL, so that an engine fetches nothing."""

    url: str


class ImagePart(TypedDict):
    """An image inside a message; `image_part` makes one."""

    type: Literal["image_url"]
    image_url: ImageUrl


class CalledFunction(TypedDict):
    """The function of a `ToolCallMessage`; ``arguments`` is JSON as the model wrote it."""

    name: str
    arguments: str


class ToolCallMessage(TypedDict):
    """A call that an earlier answer asked for; `ToolCall.message` makes one."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class Message(TypedDict):
    """One message of a chat. A ``tool`` message answers the call ``tool_call_id`` of the assistant's message before."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[TextPart | ImagePart]
    tool_calls: NotRequired[list[ToolCallMessage]]
    tool_call_id: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call.

    Attributes:
        name: letters, digits, ``_`` and ``-``, at most 64.
        description: when to call it.
        parameters: JSON schema of its arguments.
    """

    name: str
    description: str
    parameters: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asks for. ``arguments`` is what it wrote: it should be JSON, and need not be."""

    id: str
    name: str
    arguments: str

    def message(self) -> ToolCallMessage:
        """Return it as a part of the assistant's message in the next request."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


def image_part(data: bytes, media_type: str) -> ImagePart:
    """Return an image's bytes as a part of a message."""
    return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{b64encode(data).decode()}"}}
