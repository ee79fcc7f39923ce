"""Agent cards: what an agent says of itself at ``/.well-known/agent-card.json``."""

from collections.abc import Iterable
from typing import Final

from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.types import a2a_pb2 as pb

from concilium.contracts.a2a.step import STEP_URI, VERSION
from concilium.contracts.base import JSON
from concilium.contracts.skill import AgentManifest, Skill

CARD_PATH: Final = "/.well-known/agent-card.json"
PREFIX: Final = "/a2a"
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
            pb.AgentInterface(url=url, protocol_binding="HTTP+JSON", protocol_version=v) for v in (VERSION, VERSION_0_3)
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
