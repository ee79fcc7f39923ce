"""Where each agent is called, and with which key.

An agent of this mesh's runtime is called below the address it was started at, with the mesh key. A foreign agent's
A2A interface is read from its card, and it never sees the mesh key: it is shown its own key, or none.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from concilium.contracts.a2a.card import CARD_PATH, PREFIX, interface_of, read_card
from concilium.contracts.a2a.step import HEADERS, PLAIN_HEADERS
from concilium.contracts.errors import Invalid
from concilium.contracts.limits import MIB
from concilium.contracts.skill import AgentManifest
from concilium.home import Home
from concilium.runner.agent import AgentClient, Endpoint
from concilium.runner.served import Served

CARD_BYTES: Final = MIB
_HEADER = re.compile(r"([A-Za-z0-9-]{1,64}): ([\x21-\x7e][\x20-\x7e]{0,4095})")
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


def credentials(home: Home, agent: AgentManifest, key: str = "mesh") -> dict[str, str]:
    """Return the headers that show who calls an agent.

    ``keys/agent-<name>.key`` holds a bearer token or a whole header ``Name: value``. Without it the mesh key is shown,
    to an agent of this mesh's runtime alone. A rented node's agents are shown that node's key, and nothing else.

    Raises:
        Invalid: the file is neither.
        Unavailable: there is no mesh key.
    """
    if key != "mesh":
        return {"Authorization": f"Bearer {home.secret(key)}"}
    path = home.keys / f"agent-{agent.name}.key"
    if not path.is_file():
        return {} if agent.foreign else {"Authorization": f"Bearer {home.secret('mesh')}"}
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    header = _HEADER.fullmatch(text)
    if header:
        return {header[1]: header[2]}
    if not _TOKEN.fullmatch(text):
        raise Invalid(f"{path} must hold one line: a bearer token, or a header `Name: value`")
    return {"Authorization": f"Bearer {text}"}


async def find(
    client: AgentClient, agent: AgentManifest, base_url: str, show: Callable[[], Mapping[str, str]]
) -> Endpoint:
    """Return where an agent is called. Raises as `AgentClient.fetch`, and `Invalid` for a card that does not do."""
    base = base_url.rstrip("/")
    if not agent.foreign:
        return Endpoint(base + PREFIX, HEADERS, show, steps=True)
    card = read_card(await client.fetch(base + CARD_PATH, show(), CARD_BYTES))
    interface = interface_of(card, base)
    plain = HEADERS if interface.steps else PLAIN_HEADERS
    return Endpoint(interface.url, plain, show, interface.steps)


class Endpoints:
    """The endpoints of every agent a runner serves; a foreign one is looked up when it is first called."""

    def __init__(self, home: Home, served: Served) -> None:
        """Look at the keys. Raises `NotFound` for an agent without manifest, else as `credentials`."""
        self._urls = served.urls
        self._agents = {name: home.catalog.agent(name) for name in served.urls}
        self._show = {name: partial(credentials, home, agent, served.key) for name, agent in self._agents.items()}
        for show in self._show.values():
            show()
        self._found: dict[str, Endpoint] = {}

    async def of(self, client: AgentClient, agent: str) -> Endpoint:
        """Return an agent's endpoint. Raises as `find`."""
        if agent not in self._found:
            self._found[agent] = await find(client, self._agents[agent], self._urls[agent], self._show[agent])
        return self._found[agent]

    def forget(self, agent: str) -> None:
        """Look the agent up anew when it is called next: it may have come back as another."""
        self._found.pop(agent, None)
