"""What home does for its nodes on control streams: admits the invited, asks how they are, renews their certificates."""

import asyncio
from pathlib import Path
from typing import Final, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from concilium.contracts.base import utc_now
from concilium.contracts.errors import ConciliumError
from concilium.contracts.nodes import Enrolment, Node, Seen
from concilium.keyring import write_private
from concilium.nodes.authority import grows_old
from concilium.nodes.home_end.control_plane import ControlPlane
from concilium.nodes.home_end.guest import Guest
from concilium.nodes.node_end.facts import Facts
from concilium.nodes.talk import Done, Question, SigningRequest
from concilium.nodes.wire import LinkBroken, PeerRefused, Stream

log = structlog.get_logger(__name__)
M = TypeVar("M", bound=BaseModel)

CARE_EVERY_S: Final = 10.0
SOON_S: Final = 0.5
"""A node that has just enrolled may still be starting."""
FACTS_S: Final = 20.0


class Care:
    """Looks after nodes in the control plane's name."""

    def __init__(self, control: ControlPlane, keys: Path) -> None:
        self._control = control
        self._keys = keys

    async def admit(self, node: Node, stream: Stream) -> None:
        """Enrol whoever shows an invitation's certificate, if the ledger agrees; else say why not.

        Raises `LinkBroken`, `Unavailable`.
        """
        await stream.ask("control")
        try:
            await self._certify(stream, node.name, invitation=node.invitation)
            log.info("nodes.enrolled", node=node.name)
        except PeerRefused as error:
            log.warning("nodes.refused", node=node.name, reason=error.detail)
            await stream.say(Question(ask="refuse", reason=error.detail).model_dump_json())

    async def turn_away(self, name: str, stream: Stream, reason: str) -> None:
        """Tell a peer why it is not wanted, and note it. Raises `LinkBroken`, `Unavailable`."""
        log.warning("nodes.turned_away", node=name, reason=reason)
        await stream.say(f"refused {reason}")
        await self._control.turned_away(name, reason)

    async def keep(self, guest: Guest) -> None:
        """Look after a node until cancelled."""
        pause_s = SOON_S
        while True:
            try:
                await self._look(guest)
                pause_s = CARE_EVERY_S
            except ConciliumError as error:
                log.info("nodes.away", node=guest.node.name, detail=error.detail)
                pause_s = min(2 * pause_s, CARE_EVERY_S)
            except Exception:  # a full disk, too many open files: it may pass, and nobody else looks after this node
                log.exception("nodes.care", node=guest.node.name)
                pause_s = CARE_EVERY_S
            await asyncio.sleep(pause_s)

    async def _look(self, guest: Guest) -> None:
        async with guest.stream("control") as stream:
            asked_at = utc_now().timestamp()
            facts = await _ask(stream, Question(ask="facts"), Facts, FACTS_S)
            middle = (asked_at + utc_now().timestamp()) / 2
            shown, skew_s = stream.peer().fingerprint, round(facts.clock - middle, 3)
            found = Seen(capabilities=facts.capabilities, fingerprint=shown, skew_s=skew_s)
            await self._control.seen(guest.node.name, found)
            # What it shows and not what was signed: the answer with a new one may have been lost. The spare connections
            # of a node that dials show the old one for up to a minute more; it is renewed once for each.
            if grows_old(stream.certificate()):
                await self._certify(stream, guest.node.name, fingerprint=shown)
                log.info("nodes.renewed", node=guest.node.name)

    async def _certify(
        self, stream: Stream, name: str, *, invitation: str | None = None, fingerprint: str | None = None
    ) -> None:
        asked = await _ask(stream, Question(ask="csr"), SigningRequest)
        wish = Enrolment(csr=asked.csr, invitation=invitation, fingerprint=fingerprint)
        signed = await self._control.certify(name, wish)
        # First what home needs to call the agents there: once the node has its certificate it is asked to work.
        write_private(self._keys / f"node-{name}.key", asked.agent_key + "\n")
        await _ask(stream, Question(ask="certify", certificate=signed), Done)


async def _ask(stream: Stream, question: Question, answer: type[M], within_s: float = 10.0) -> M:
    await stream.say(question.model_dump_json(exclude_defaults=True))
    line = await stream.hear(within_s)
    try:
        return answer.model_validate_json(line)
    except ValidationError as error:
        raise LinkBroken(f"the answer to {question.ask} makes no sense") from error
