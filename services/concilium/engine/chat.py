"""A chat request and its answer: what callers hand in and get back, and how both look on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from concilium.contracts.base import JSON
from concilium.contracts.modes import Mode, ModeName
from concilium.contracts.prices import TOKENS_MAX
from concilium.engine.errors import EngineError
from concilium.engine.messages import ImagePart, Message, TextPart, Tool, ToolCall
from concilium.engine.thinking import split

PLAIN_TOKENS = 4096
"""Tokens of an answer where neither the request nor a mode says how many."""
_BUDGET = frozenset({"thinking_token_budget"})
_EXTENSIONS = _BUDGET | {"top_k", "min_p", "chat_template_kwargs", "num_experts_per_tok"}
"""What vLLM, SGLang, llama.cpp and the embedded engine know and OpenAI's own servers refuse."""


@dataclass(frozen=True, slots=True)
class Chat:
    """What is asked of a model.

    Attributes:
        messages: the conversation so far.
        model: an adapter's served name; empty: the engine's own model.
        tools: functions the model may call.
        tool_choice: whether it has to call one.
        schema: JSON schema that the engine is asked to enforce while decoding; None: free text.
        max_tokens: tokens the answer may have, its thoughts not counted; a mode's own limit also holds.
        mode: how to answer; None: what the modes say of ``purpose``.
        purpose: what it is for, e.g. ``brain.plan`` or a skill's name.
        seed: makes a sampled answer repeatable where the engine can.
    """

    messages: Sequence[Message]
    model: str = ""
    tools: Sequence[Tool] = ()
    tool_choice: Literal["auto", "none", "required"] = "auto"
    schema: dict[str, JSON] | None = None
    max_tokens: int | None = None
    mode: ModeName | None = None
    purpose: str = ""
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class TokenUse:
    """Tokens the engine counted."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer.

    Attributes:
        content: the text, without thoughts.
        reasoning_content: the thoughts.
        tool_calls: what the model wants called.
        finish_reason: ``stop``, ``length`` (cut off at ``max_tokens``), ``tool_calls``, or what else the engine says.
        usage: None when the engine does not count.
    """

    content: str
    reasoning_content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    usage: TokenUse | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server takes, as far as its refusals told. Each step gives up what was refused before."""

    budget: bool = True
    """It enforces ``thinking_token_budget`` and takes any JSON schema as strict."""
    extensions: bool = True
    """It takes more than OpenAI's own members."""

    @property
    def dropped(self) -> frozenset[str]:
        """Members that it does not take."""
        if not self.extensions:
            return _EXTENSIONS
        return frozenset() if self.budget else _BUDGET

    @property
    def plainer(self) -> "Dialect | None":
        """The next step down; None at the last."""
        if self.budget:
            return Dialect(budget=False)
        return Dialect(budget=False, extensions=False) if self.extensions else None


@dataclass(frozen=True, slots=True)
class Wire:
    """A chat as the body of a request, for the server's dialect."""

    chat: Chat
    mode: Mode | None
    model: str
    stream: bool = False
    prefix: str = ""
    """The beginning of the answer, with its thoughts ended; the rest is asked for."""

    def body(self, dialect: Dialect) -> dict[str, JSON]:
        """Return the body."""
        body: dict[str, JSON] = {
            "model": self.model,
            "messages": list(self.chat.messages),
            "max_tokens": self.answer_tokens + self.thinking_budget,
            **self._sampling(),
        }
        if self.chat.seed is not None:
            body["seed"] = self.chat.seed
        if self.chat.schema is not None:
            shape = {"name": "answer", "strict": dialect.budget, "schema": self.chat.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        if self.chat.tools:
            body |= {"tools": [_tool(tool) for tool in self.chat.tools], "tool_choice": self.chat.tool_choice}
        if self.stream:
            body |= {"stream": True, "stream_options": self._stream_options(dialect)}
        if self.prefix:
            body["messages"].append({"role": "assistant", "content": self.prefix})
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        dropped = dialect.dropped
        return {name: value for name, value in body.items() if name not in dropped}

    @property
    def answer_tokens(self) -> int:
        """Tokens of the answer without its thoughts."""
        wanted, most = self.chat.max_tokens, self.mode.max_tokens if self.mode else None
        return min((n for n in (wanted, most) if n is not None), default=PLAIN_TOKENS)

    @property
    def text_bytes(self) -> int:
        """Size of the prompt's texts; its images are not counted."""
        said = (message["content"] for message in self.chat.messages)
        texts = (text for content in said for text in ([content] if isinstance(content, str) else _texts(content)))
        return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)

    @property
    def thinking_budget(self) -> int:
        """Tokens its thoughts may still have."""
        return self.mode.thinking_budget if self.mode and self.mode.thinking and not self.prefix else 0

    @property
    def thinking(self) -> bool | None:
        """Whether the model is asked to think; None: it is left to do what it does."""
        return None if self.mode is None else self.mode.thinking and not self.prefix

    def _sampling(self) -> dict[str, JSON]:
        mode = self.mode
        if mode is None:
            return {"temperature": 0}
        found: dict[str, JSON] = {
            "temperature": mode.temperature,
            "top_p": mode.top_p,
            "top_k": mode.top_k,
            "min_p": mode.min_p,
            "presence_penalty": mode.presence_penalty,
            "num_experts_per_tok": mode.experts_per_token,
            "chat_template_kwargs": {"enable_thinking": self.thinking},
            "thinking_token_budget": self.thinking_budget or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _stream_options(self, dialect: Dialect) -> dict[str, JSON]:
        options = {"include_usage": True}
        return options | ({"continuous_usage_stats": True} if self.thinking_budget and dialect.extensions else {})


def _texts(parts: Sequence[TextPart | ImagePart]) -> list[str]:
    return [part["text"] for part in parts if part["type"] == "text"]


def _tool(tool: Tool) -> dict[str, JSON]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def read_completion(reply: JSON) -> Completion:
    """Return the first choice of a chat completion that came whole. Raises `EngineError` when it is none."""
    try:
        choice: Any = reply["choices"][0]
        message: Any = choice["message"]
        said, thought = text_of(message.get("content")), reasoning_of(message)
        calls = tuple(_call(raw) for raw in message.get("tool_calls") or ())
        if message.get("content") is None and not calls and not thought:
            raise EngineError("garbage", "the chat completion holds no text")
    except (LookupError, TypeError, AttributeError) as error:
        raise EngineError("garbage", "the answer is not a chat completion") from error
    if not ("reasoning" in message or "reasoning_content" in message):
        thought, said = split(said, thinking=None)
    finish = choice.get("finish_reason")
    return Completion(said, thought, calls, finish if isinstance(finish, str) else "stop", use_of(reply))


def reasoning_of(message: dict[str, JSON]) -> str:
    """Return the thoughts that the server has split off itself (``reasoning`` in newer vLLM, else the longer name)."""
    return text_of(message.get("reasoning_content")) or text_of(message.get("reasoning"))


def text_of(value: JSON) -> str:
    """Return a text; an absent one is empty. Raises `TypeError` when it is something else."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def use_of(reply: JSON) -> TokenUse | None:
    """Return the ``usage`` of an answer or a chunk; None when it has no sensible one."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    if not isinstance(usage, dict):
        return None
    taken, given = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if (
        type(taken) is not int
        or type(given) is not int
        or not 0 <= min(taken, given) <= max(taken, given) <= TOKENS_MAX
    ):
        return None
    return TokenUse(taken, given)


def _call(raw: JSON) -> ToolCall:
    function = raw["function"]
    return ToolCall(text_of(raw.get("id")), text_of(function["name"]), text_of(function.get("arguments")))
