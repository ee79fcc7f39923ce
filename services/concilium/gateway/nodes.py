"""`/v1/nodes`: inviting, draining and revoking rented nodes; `/runner/v1/nodes`: what the links ask."""

import asyncio
from datetime import timedelta

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from concilium.contracts.base import Model, new_id
from concilium.contracts.errors import Conflict, Invalid
from concilium.contracts.nodes import (
    Certified,
    Dial,
    Enrolment,
    Invitation,
    Node,
    NodeList,
    Seen,
    Turned,
)
from concilium.gateway.admin import admin
from concilium.gateway.auth import Scope
from concilium.gateway.body import read_model
from concilium.gateway.openapi import SECURED, json_body, problems
from concilium.gateway.state import Gateway, gateway_of
from concilium.gateway.tasks import json_answer
from concilium.home import Home
from concilium.nodes.authority import INVITATION_LIFE, Authority, fingerprint_of, requested_key
from concilium.nodes.token import make_token

router = APIRouter(tags=["nodes"])

LOOK_AT_CERTIFICATES_EVERY = timedelta(hours=1)
_GETS = problems(401, 403, 429, 503)
_ACTS = problems(401, 403, 404, 409, 429, 503)

log = structlog.get_logger("concilium.nodes")


class Invited(Model):
    """An invitation. ``token`` is shown here and never again."""

    node: Node
    token: str
    command: str
    """What is to be run on the machine."""


@router.post(
    "/v1/nodes",
    summary="Invite a node",
    status_code=201,
    response_model=Invited,
    responses=problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=SECURED | json_body("Invitation"),
)
async def invite_node(request: Request) -> Response:
    """Invite a machine to become a node: its token is good once, within an hour, and in this answer alone."""
    gateway, _ = await admin(request)
    wish = await read_model(request, Invitation)
    _check(gateway.home, wish)
    authority = Authority(gateway.home.keys)
    await asyncio.to_thread(authority.ensure)
    node = await gateway.ledger.invite_node(wish, new_id("inv"), INVITATION_LIFE.total_seconds())
    token = make_token(authority, node)
    log.info("nodes.invited", node=node.name, agents=node.agents, dial=node.dial)
    answer = json_answer(Invited(node=node, token=token, command=f"concilium nodes join {token}"), 201)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _check(home: Home, wish: Invitation) -> None:
    """Raise `Conflict` or `Invalid` for an invitation that could not lead to a node."""
    if wish.name == home.config.runner.node:
        raise Conflict(f"'{wish.name}' is the machine at home; choose another name")
    unknown = sorted(set(wish.agents) - set(home.catalog.agents))
    if unknown:
        raise Invalid(f"no agent {', '.join(unknown)}; there are {', '.join(sorted(home.catalog.agents))}")
    foreign = sorted(name for name in wish.agents if home.catalog.agent(name).foreign)
    if foreign:
        raise Invalid(f"{', '.join(foreign)} cannot be started on a node: it runs elsewhere already")
    if wish.dial is Dial.NODE and not home.config.nodes.listen:
        raise Invalid("nodes that dial home are met nowhere yet: set nodes.listen in mesh.yaml and restart")


@router.get("/v1/nodes", summary="List nodes", response_model=NodeList, responses=_GETS, openapi_extra=SECURED)
async def list_nodes(request: Request) -> Response:
    """Return every node that was ever invited, revoked ones too. The machine at home is not among them."""
    gateway, _ = await admin(request)
    return json_answer(NodeList(nodes=tuple(await gateway.ledger.list_nodes())))


@router.get("/v1/nodes/{name}", summary="Show a node", response_model=Node, responses=_ACTS, openapi_extra=SECURED)
async def get_node(request: Request, name: str) -> Response:
    """Return a node: its state, what it has, when it was last heard of."""
    gateway, _ = await admin(request)
    return json_answer(await gateway.ledger.get_node(name))


@router.post(
    "/v1/nodes/{name}/drain", summary="Drain a node", response_model=Node, responses=_ACTS, openapi_extra=SECURED
)
async def drain_node(request: Request, name: str) -> Response:
    """Give a node nothing new; what it runs may end."""
    gateway, _ = await admin(request)
    return json_answer(await gateway.ledger.drain_node(name))


@router.post(
    "/v1/nodes/{name}/undrain",
    summary="Give a drained node work again",
    response_model=Node,
    responses=_ACTS,
    openapi_extra=SECURED,
)
async def undrain_node(request: Request, name: str) -> Response:
    """Give a drained node work again."""
    gateway, _ = await admin(request)
    return json_answer(await gateway.ledger.undrain_node(name))


@router.delete("/v1/nodes/{name}", summary="Revoke a node", response_model=Node, responses=_ACTS, openapi_extra=SECURED)
async def revoke_node(request: Request, name: str) -> Response:
    """End a node's rights at once: its results are refused, its steps go to others, its links are cut."""
    gateway, _ = await admin(request)
    revoked = await gateway.ledger.revoke_node(name)
    gateway.ring(revoked.rings)
    log.info("nodes.revoked", node=name, steps=len(revoked.rings))
    return json_answer(revoked.node)


async def _entered(request: Request) -> tuple[Gateway, str]:
    gateway = gateway_of(request)
    await gateway.auth.require(request, Scope.NODES)
    name: str = request.path_params.get("name", "")
    return gateway, name


async def link_nodes(request: Request) -> Response:
    """Return every node."""
    gateway, _ = await _entered(request)
    return json_answer(NodeList(nodes=tuple(await gateway.ledger.list_nodes())))


async def link_certificate(request: Request) -> Response:
    """Sign a node's certificate: for a token that was not used yet, or for who shows the node's key; else 409."""
    gateway, name = await _entered(request)
    wish = await read_model(request, Enrolment)
    key = requested_key(wish.csr)
    fingerprint = fingerprint_of(key)
    pem, until = await asyncio.to_thread(Authority(gateway.home.keys).certify_node, name, key)
    if wish.invitation is not None:
        await gateway.ledger.enrol_node(name, wish.invitation, fingerprint, until.timestamp())
        log.info("nodes.enrolled", node=name)
    elif wish.fingerprint is not None:
        await gateway.ledger.renew_node(name, wish.fingerprint, fingerprint, until.timestamp())
        log.info("nodes.renewed", node=name)
    else:
        raise Invalid("an invitation or the fingerprint of the key that was shown is needed")
    return json_answer(Certified(certificate=pem))


async def link_seen(request: Request) -> Response:
    """Note what a node answered."""
    gateway, name = await _entered(request)
    await gateway.ledger.node_seen(name, await read_model(request, Seen))
    return Response(status_code=204)


async def link_refused(request: Request) -> Response:
    """Note that a peer was turned away."""
    gateway, name = await _entered(request)
    await gateway.ledger.node_refused(name, (await read_model(request, Turned)).reason)
    return Response(status_code=204)


def link_routes() -> list[Route]:
    """Return the routes of home's end of the links."""
    base = "/runner/v1/nodes"
    return [
        Route(base, link_nodes, methods=["GET"]),
        Route(base + "/{name}/certificate", link_certificate, methods=["POST"]),
        Route(base + "/{name}/seen", link_seen, methods=["POST"]),
        Route(base + "/{name}/refused", link_refused, methods=["POST"]),
    ]


async def renew_certificates(gateway: Gateway) -> None:
    """Renew home's certificate in time, until cancelled."""
    authority = Authority(gateway.home.keys)
    while True:
        if authority.exists:
            await asyncio.to_thread(authority.ensure)
        await asyncio.sleep(LOOK_AT_CERTIFICATES_EVERY.total_seconds())
