"""Agent cards: what an agent says of itself at ``/.well-known/agent-card.json``."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import orjson
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format

from concilium.contracts.a2a.step import STEP_URI, VERSION
from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid
from concilium.contracts.skill import AgentManifest, Skill

CARD_PATH: Final = "/.well-known/agent-card.json"
PREFIX: Final = "/a2a"
BINDING: Final = "HTTP+JSON"
VERSION_0_3: Final = "0.3"
_SCHEME = "bearer"
_TEXT_MODES = ("text/plain", "application/json")


def agent_card(manifest: AgentManifest, base_url: str) -> pb.AgentCard:
    """Return the card of an agent service at ``base_url``."""
    card = _card(base_url, "Mesh", map(_skill, manifest.skills))
    card.name, card.description, card.version = manifest.name, manifest.description, manifest.version
    return card


def brain_card(manifests: Iterable[AgentManifest], version: str, base_url: str) -> pb.AgentCard:
    """Return the card of the brain: it accepts whatever its agents together can do."""
    skills = [_skill(skill) for manifest in manifests for skill in manifest.skills]
    card = _card(base_url, "API", skills)
    card.name, card.version = "concilium", version
    card.description = "A council of agents: send text and files, it plans, delegates and answers."
    return card


def card_json(card: pb.AgentCard) -> dict[str, JSON]:
    """Return a card as JSON, with the members that 0.3 clients read."""
    return dict(agent_card_to_dict(card))


@dataclass(frozen=True, slots=True)
class Interface:
    """Where an agent is called, by its card."""

    url: str
    steps: bool
    """It declares the step extension."""


def read_card(data: bytes) -> pb.AgentCard:
    """Return a card of A2A 1.0. Raises `Invalid` when it is none."""
    try:
        said = orjson.loads(data)
        if not isinstance(said, dict):
            raise Invalid("this is no A2A agent card: it is not a JSON object")
        return json_format.ParseDict(said, pb.AgentCard(), ignore_unknown_fields=True)
    except (orjson.JSONDecodeError, json_format.ParseError, AttributeError, TypeError) as error:
        raise Invalid(f"this is no A2A agent card: {str(error)[:300]}") from error


def interface_of(card: pb.AgentCard, base_url: str) -> Interface:
    """Return where the agent at ``base_url`` takes A2A 1.0 over HTTP+JSON.

    The address of another host is never believed, so that a card sends nobody (and no key) elsewhere: its path is
    taken below ``base_url``.

    Raises:
        Invalid: the card names no such interface.
    """
    for offer in card.supported_interfaces:
        if (offer.protocol_binding, offer.protocol_version) == (BINDING, VERSION):
            steps = any(extension.uri == STEP_URI for extension in card.capabilities.extensions)
            return Interface(_below(base_url.rstrip("/"), offer.url.rstrip("/")), steps)
    raise Invalid(f"the agent '{card.name}' offers no {BINDING} interface of A2A {VERSION}")


def _below(base: str, offered: str) -> str:
    ours, theirs = urlsplit(base), urlsplit(offered)
    same = (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)
    return offered if same else base + theirs.path


def _skill(skill: Skill) -> pb.AgentSkill:
    return pb.AgentSkill(
        id=skill.name,
        name=skill.name,
        description=skill.description,
        tags=skill.tags or (skill.name.split(".", 1)[0],),
        examples=skill.examples[:8],
    )


def _card(base_url: str, key: str, skills: Iterable[pb.AgentSkill]) -> pb.AgentCard:
    url = base_url.rstrip("/") + PREFIX
    step = pb.AgentExtension(
        uri=STEP_URI,
        description="Run id, fence, attempt, deadline, hops, priority, data class, trace of a step; mesh peers only.",
        required=False,
    )
    card = pb.AgentCard(
        supported_interfaces=[
            pb.AgentInterface(url=url, protocol_binding=BINDING, protocol_version=v) for v in (VERSION, VERSION_0_3)
        ],
        capabilities=pb.AgentCapabilities(streaming=True, push_notifications=False, extensions=[step]),
        default_input_modes=[*_TEXT_MODES, "application/octet-stream"],
        default_output_modes=[*_TEXT_MODES, "application/octet-stream"],
        skills=skills,
    )
    http = pb.HTTPAuthSecurityScheme(scheme="Bearer", description=f"{key} key")
    card.security_schemes[_SCHEME].http_auth_security_scheme.CopyFrom(http)
    card.security_requirements.add().schemes[_SCHEME].SetInParent()
    return card
