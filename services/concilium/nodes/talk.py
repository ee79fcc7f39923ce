"""What home asks on a control stream, and what the node answers: one line of JSON each."""

from typing import Annotated, Literal

from pydantic import Field

from concilium.contracts.base import Model

MeshKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class Question(Model):
    """``facts``; ``csr`` for a request to sign; ``certify`` brings what was signed; ``refuse`` says why it was not."""

    ask: Literal["facts", "csr", "certify", "refuse"]
    certificate: str = ""
    """PEM, with ``certify``."""
    reason: str = ""
    """With ``refuse``."""


class SigningRequest(Model):
    """The answer to ``csr``."""

    csr: str = Field(max_length=4096)
    agent_key: MeshKey
    """What the node's agents want to be shown by whoever calls them."""


class Done(Model):
    """The answer to ``certify``."""

    done: bool = True
