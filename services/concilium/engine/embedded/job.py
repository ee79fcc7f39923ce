"""One generation as the HTTP side asks for it, and what it hears of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # it imports PyTorch, which the server does while it already answers
    from concilium.engine.embedded.lora import Adapter


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; the words are OpenAI's and vLLM's."""

    temperature: float = 1.0
    """0: the likeliest token."""
    top_k: int = 0
    """0: all."""
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None

    @property
    def penalised(self) -> bool:
        """Whether what was written already changes what may come."""
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1.0, 0.0, 0.0)


class Grammar(Protocol):
    """What an answer must match, token by token."""

    def allowed(self) -> bytes:
        """Return one bit per token, the lowest first: which may come next."""
        ...

    def take(self, token: int) -> bool:
        """Go on with that token; return whether the answer is complete. Raises ValueError for one not allowed."""
        ...


@dataclass(frozen=True)
class Job:
    """What to generate."""

    prompt: tuple[int, ...]
    max_tokens: int
    """0: the prompt's log-probabilities alone."""
    sampling: Sampling = Sampling()
    stops: tuple[str, ...] = ()
    stop_tokens: frozenset[int] = frozenset()
    logprobs: int | None = None
    """How many of the likeliest tokens are told beside each chosen one; None: no log-probabilities."""
    prompt_logprobs: int | None = None
    """The same for the tokens of the prompt."""
    grammar: Grammar | None = None
    adapter: "Adapter | None" = None


@dataclass(frozen=True)
class Scored:
    """A token with its log-probability: the model's own, before temperature, penalties and grammar."""

    token: int
    logprob: float
    rank: int
    """1: the likeliest."""
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Prompted:
    """The prompt was computed; its first token has no log-probability."""

    scores: tuple[Scored | None, ...]


@dataclass(frozen=True)
class Piece:
    """Text that is certain, and the tokens chosen since the piece before."""

    text: str
    scores: tuple[Scored, ...] = ()


@dataclass(frozen=True)
class Ended:
    """The last event of a job."""

    reason: Literal["stop", "length"]
    tokens: int
    """Generated, the one that ended it included."""
    reused: int
    """Tokens of the prompt that were not computed again."""


@dataclass(frozen=True)
class Broken:
    """The last event of a job that failed."""

    detail: str


Event = Prompted | Piece | Ended | Broken
Listener = Callable[[Event], None]
"""Called on the HTTP side's event loop."""
