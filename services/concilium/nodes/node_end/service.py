"""What a node does for home on one connection: its agents, and the questions of control. Nobody else is served."""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from pydantic import BaseModel, ValidationError

from concilium.contracts.errors import Invalid
from concilium.nodes.authority import Role
from concilium.nodes.node_end.facts import facts
from concilium.nodes.node_end.membership import Membership
from concilium.nodes.node_end.running import Running
from concilium.nodes.talk import Done, Question
from concilium.nodes.wire import LinkBroken, PeerRefused, Stream, connect, forward

log = structlog.get_logger(__name__)

CONTROL_S = 30.0
"""How long home may take between two questions."""


class Service:
    """Serves home."""

    def __init__(self, membership: Membership, agents: Mapping[str, int], on_certified: Callable[[], None]) -> None:
        """Serve agents by name at ports of this machine; ``on_certified`` is told of each new certificate."""
        self._membership = membership
        self._agents = agents
        self._running = Running(agents)
        self._on_certified = on_certified

    async def serve(self, stream: Stream, wish: str) -> None:
        """Do what home's first line asks for, and close.

        Raises:
            LinkBroken: home went away, or asked for what is not known.
            PeerRefused: home does not want this node, and says why.
        """
        what, _, rest = wish.partition(" ")
        if what == "refused":
            raise PeerRefused(rest[:300])
        if what == "control":
            await stream.say("ok")
            await self._control(stream)
        elif what == "agent" and rest in self._agents:
            await self._reach(stream, rest)
        else:
            await stream.say("no there is no such agent here")
            await stream.close()

    async def _reach(self, stream: Stream, agent: str) -> None:
        try:
            local = await connect("127.0.0.1", self._agents[agent])
        except LinkBroken as error:
            await stream.say(f"no {agent} does not listen: {error.detail}")
            await stream.close()
            return
        try:
            await stream.say("ok")
        except LinkBroken:
            local.abort()
            raise
        await forward(stream, local)

    async def _control(self, stream: Stream) -> None:
        """Answer home's questions until it closes."""
        while not stream.ended:
            try:
                line = await stream.hear(CONTROL_S)
            except LinkBroken:
                return
            answer = await self._answer(line)
            await stream.say(answer.model_dump_json())
            if isinstance(answer, Done):
                self._on_certified()

    async def _answer(self, line: str) -> BaseModel:
        try:
            question = Question.model_validate_json(line)
        except ValidationError as error:
            raise LinkBroken("home asked what this version does not know") from error
        if question.ask == "facts":
            running = await self._running.look()
            if running is None:
                raise LinkBroken("the agents of this node are starting")
            return await asyncio.to_thread(facts, running)
        if question.ask == "csr":
            return self._membership.signing_request()
        if question.ask == "refuse":
            raise PeerRefused(question.reason[:300])
        self._membership.certify(question.certificate)
        log.info("nodes.certified", node=self._membership.joined.name)
        return Done()


def check_home(stream: Stream) -> None:
    """Raise `Invalid` unless home is at the other end: a node speaks to nobody else, other nodes included."""
    role = stream.peer().role
    if role is not Role.HOME:
        raise Invalid(f"the other end is not home but {role}")
