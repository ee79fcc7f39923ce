"""Rented nodes: machines that hold agents and a link to the mesh, and nothing else of it."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from concilium.contracts.base import Model
from concilium.contracts.money import Money
from concilium.contracts.skill import AgentName

NodeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Label = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._=-]{0,62}$")]
"""What an owner says of a node, such as ``eu`` or ``disk=nvme``."""
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a public key (SubjectPublicKeyInfo, RFC 5280 section 4.1.2.7) in hex."""
AGENTS_MAX = 32
LABELS_MAX = 32
BYTES_MAX = 2**50
SKEW_MAX_S = 1e10

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?):([0-9]{1,5})")


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[ipv6]:port``. Raises ValueError."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 1 <= int(found[3]) <= 65535:
        raise ValueError("write host:port, an IPv6 address in brackets")
    return found[1].strip("[]"), int(found[3])


def _address(value: str) -> str:
    split_address(value)
    return value


Address = Annotated[str, AfterValidator(_address), Field(max_length=300)]


class NodeState(StrEnum):
    """Where a node is in its life."""

    INVITED = "invited"
    """A token was made; nobody has used it yet."""
    ENROLLED = "enrolled"
    DRAINING = "draining"
    """Ends what it runs and gets nothing new."""
    REVOKED = "revoked"
    """Its key opens nothing any more; only another invitation brings the name back."""


class Dial(StrEnum):
    """Which side of a link dials the other."""

    HOME = "home"
    """Home dials the node: it has a public address."""
    NODE = "node"
    """The node dials home: it sits behind NAT."""


class Gpu(Model):
    name: str = Field(max_length=200, pattern=r"^[ -~]*$")
    """Printable ASCII: it is shown on terminals, and a node may say anything."""
    vram_bytes: int = Field(ge=0, le=BYTES_MAX)


class Capabilities(Model):
    """What a node says it has: its word, to place work by, and proof of nothing."""

    cpus: int = Field(ge=1, le=65536)
    ram_bytes: int = Field(ge=0, le=BYTES_MAX)
    gpus: tuple[Gpu, ...] = Field(default=(), max_length=64)
    running: tuple[AgentName, ...] | None = Field(default=None, max_length=AGENTS_MAX)
    """Its agents that answer now; None: it does not say."""


class Invitation(Model):
    """What an owner lets a machine become."""

    name: NodeName
    dial: Dial
    address: Address
    """Where the side that is dialled listens, as the other side reaches it."""
    agents: tuple[AgentName, ...] = Field(min_length=1, max_length=AGENTS_MAX)
    labels: tuple[Label, ...] = Field(default=(), max_length=LABELS_MAX)
    price_per_hour: Money | None = None
    """In the currency of ``prices.yaml``; None: unknown, unless that file names the node."""

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        for name in ("agents", "labels"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"{name}: name each of them once")
        return self


class Node(Model):
    """A node as the ledger knows it."""

    name: NodeName
    state: NodeState
    dial: Dial
    address: str
    agents: tuple[AgentName, ...]
    labels: tuple[Label, ...] = ()
    price_per_hour: Money | None = None
    capabilities: Capabilities | None = None
    """None until home has asked it for the first time."""
    invitation: str
    """The id of the newest invitation, which its token names."""
    invited_until: datetime
    fingerprint: Fingerprint | None = None
    """Of the key that it has now; None before it enrolled."""
    former_fingerprint: Fingerprint | None = None
    """Of the key before, which is taken until ``former_until``, and without end until the new one was seen."""
    former_until: datetime | None = None
    certificate_until: datetime | None = None
    created_at: datetime
    enrolled_at: datetime | None = None
    last_seen_at: datetime | None = None
    """By the ledger's clock, when home last had an answer from it."""
    skew_s: float | None = None
    """How far its clock is ahead of home's, in seconds; shown, never relied on."""
    revoked_at: datetime | None = None
    refusals: int = 0
    """How often a token or a key for this name was refused."""
    last_refusal: str = ""

    @property
    def takes_work(self) -> bool:
        """Whether steps may be given to it."""
        return self.state is NodeState.ENROLLED

    def has_key(self, fingerprint: str, now: datetime) -> bool:
        """Whether a key is this node's at a moment: its own, or the one before for a while."""
        former = fingerprint == self.former_fingerprint and (self.former_until is None or now < self.former_until)
        return fingerprint == self.fingerprint or former


class NodeList(Model):
    nodes: tuple[Node, ...]


class Enrolment(Model):
    """A node asks, through home's end of the link, for a certificate: its first, or the next one."""

    csr: str = Field(max_length=4096)
    """Its certificate signing request, PEM (RFC 2986)."""
    invitation: str | None = Field(default=None, max_length=64)
    """The invitation whose token it showed; None: it showed the certificate it has."""
    fingerprint: Fingerprint | None = None
    """Of the key of the certificate that it showed, whatever key it asks for; None with an invitation."""


class Certified(Model):
    """A signed certificate."""

    certificate: str
    """PEM."""


class Seen(Model):
    """What home's end of the link found when it asked a node."""

    capabilities: Capabilities
    fingerprint: Fingerprint
    """Of the key that the node showed."""
    skew_s: float = Field(ge=-SKEW_MAX_S, le=SKEW_MAX_S, allow_inf_nan=False)


class Turned(Model):
    """A peer was turned away at home's end of the link."""

    reason: str = Field(max_length=300)


class Joined(Model):
    """What a machine has joined as: ``node.json`` in its own ``CONCILIUM_HOME``."""

    name: NodeName
    invitation: str
    until: datetime
    """When the invitation ends."""
    dial: Dial
    address: Address
    """Of home's listener when the node dials, else its own as home reaches it."""
    listen: str = ""
    """Where it listens when home dials, ``host:port``."""
    agents: tuple[AgentName, ...]
