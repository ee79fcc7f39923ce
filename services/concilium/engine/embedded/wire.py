"""What clients send: OpenAI's requests, with vLLM's additions by vLLM's names."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Text = Annotated[str, Field(min_length=1)]


class Body(BaseModel):
    """A JSON body. A field that is not known is refused: leaving it out of account would answer another question."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class JsonSchema(Body):
    """A schema with the name that OpenAI's API wants for it."""

    name: str = "answer"
    description: str | None = None
    body: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    """What the answer's text must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema belongs to the type json_schema")
        return self


class StreamOptions(Body):
    """What a stream tells beside the text."""

    include_usage: bool = False


class Generation(Body):
    """What chats and completions have in common."""

    model: str
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=-1)
    min_p: float = Field(0.0, ge=0, le=1)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    repetition_penalty: float = Field(1.0, gt=0, le=10)
    seed: int | None = None
    stop: Text | Annotated[list[Text], Field(max_length=16)] | None = None
    stop_token_ids: list[int] = []
    ignore_eos: bool = False
    response_format: ResponseFormat | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    prompt_logprobs: int | None = Field(None, ge=0, le=20)
    n: Literal[1] = 1
    user: str | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class TextPart(Body):
    """A text inside a message of several parts."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message; what else it holds is for the model's chat template."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None

    def plain(self) -> dict[str, Any]:
        """Return it with its content as one text."""
        content = self.content
        if isinstance(content, list):
            content = "\n".join(part.text for part in content)
        return {**(self.model_extra or {}), "role": self.role, "content": content or ""}


class Chat(Generation):
    """``POST /v1/chat/completions``."""

    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    chat_template_kwargs: dict[str, Any] = {}

    @property
    def scored(self) -> int | None:
        """How many of the likeliest tokens are told; None: no log-probabilities."""
        return self.top_logprobs if self.logprobs else None

    @property
    def prompt_scored(self) -> int | None:
        """The same for the tokens of the prompt."""
        return self.prompt_logprobs

    @property
    def limit(self) -> int | None:
        """Tokens of the answer."""
        return self.max_completion_tokens or self.max_tokens


class Completion(Generation):
    """``POST /v1/completions``, with one prompt."""

    prompt: str | Annotated[list[int], Field(min_length=1)]
    max_tokens: int = Field(16, ge=0)
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool = False
    add_special_tokens: bool = True

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens is at least 1, or 0 with echo")
        if self.stream and (self.echo or self.prompt_logprobs is not None):
            raise ValueError("echo and prompt_logprobs are not streamed")
        return self

    @property
    def scored(self) -> int | None:
        """How many of the likeliest tokens are told; None: no log-probabilities."""
        return self.logprobs

    @property
    def prompt_scored(self) -> int | None:
        """How many of the likeliest tokens are told for each of the prompt's; None: no log-probabilities."""
        return self.logprobs if self.prompt_logprobs is None and self.echo else self.prompt_logprobs


class Tokenize(Body):
    """``POST /tokenize``: of a text or a conversation."""

    model: str | None = None
    prompt: str | None = None
    messages: list[Message] | None = None
    add_special_tokens: bool = True
    chat_template_kwargs: dict[str, Any] = {}

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("send prompt or messages")
        return self


class LoadAdapter(Body):
    """``POST /v1/load_lora_adapter``."""

    lora_name: Text
    lora_path: Text
    load_inplace: bool = False


class UnloadAdapter(Body):
    """``POST /v1/unload_lora_adapter``."""

    lora_name: Text
    lora_int_id: int | None = None
