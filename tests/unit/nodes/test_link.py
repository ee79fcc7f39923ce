"""Both ends of a link over real sockets: who is let in, and what becomes of those who do not speak as a link does."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concilium.contracts.nodes import split_address
from concilium.nodes import listener
from concilium.nodes.authority import Authority, requested_key
from concilium.nodes.node_end.link import NodeLink
from concilium.nodes.node_end.membership import Membership
from concilium.nodes.node_end.service import Service
from concilium.nodes.talk import Question, SigningRequest
from concilium.nodes.tls import Identity
from concilium.nodes.wire import LINE_BYTES, LinkBroken, LinkSilent, PeerRefused, Stream, connect, dial, end_all
from support.guests import Enrol, echo
from support.ports import free_port

QUIET = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
WITHIN_S = 30.0


def home_identity(authority: Authority) -> Identity:
    return Identity(authority.folder, "link", "mesh-ca.pem")


@asynccontextmanager
async def listening(node: Membership, agents: dict[str, int]) -> AsyncIterator[tuple[str, int]]:
    """Yield the address of a node that waits for home."""
    link = asyncio.create_task(NodeLink(node, Service(node, agents, lambda: None)).run())
    address = split_address(node.joined.listen)
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection(*address)
                    writer.close()
                    break
                except OSError:
                    assert not link.done(), link.result()
                    await asyncio.sleep(0.01)
        yield address
    finally:
        await end_all([link])


async def test_home_reaches_an_agent_the_node_was_invited_for_and_no_other(authority: Authority, enrol: Enrol) -> None:
    node = enrol()
    async with echo() as port, listening(node, {"code": port}) as address:
        stream = await dial(address, home_identity(authority))
        await stream.ask("agent code")
        sent = bytes(range(256)) * 4096
        stream.writer.write(sent)
        assert await stream.reader.readexactly(len(sent)) == sent
        await stream.close()
        for wish in ("agent tts", "agent ../code", "agent", "AGENT code", "redis"):
            other = await dial(address, home_identity(authority))
            with pytest.raises(PeerRefused, match="no such agent"):
                await other.ask(wish)
            await other.close()


async def test_a_node_tells_home_what_it_has_and_its_time(authority: Authority, enrol: Enrol) -> None:
    async with listening(enrol(), {}) as address:
        stream = await dial(address, home_identity(authority))
        await stream.ask("control")
        await stream.say(Question(ask="facts").model_dump_json())
        said = await stream.hear(WITHIN_S)
        assert '"cpus":' in said
        assert '"clock":' in said
        await stream.close()


async def test_a_node_is_silent_about_itself_until_its_agents_have_started(authority: Authority, enrol: Enrol) -> None:
    port = free_port()
    async with listening(enrol(), {"code": port}) as address:
        assert await facts_at(address, authority) is None
        async with echo(port):
            assert '"running":["code"]' in str(await facts_at(address, authority))
        # What has started once is not waited for again: one agent that is started anew does not stop the others.
        assert '"running":[]' in str(await facts_at(address, authority))


async def facts_at(address: tuple[str, int], authority: Authority) -> str | None:
    """Return what the node says of itself; None when it closes without a word."""
    stream = await dial(address, home_identity(authority))
    await stream.ask("control")
    await stream.say(Question(ask="facts").model_dump_json())
    try:
        return await stream.hear(WITHIN_S)
    except LinkSilent:
        raise
    except LinkBroken:
        return None
    finally:
        await stream.close()


async def test_one_nodes_certificate_opens_nothing_at_another(authority: Authority, enrol: Enrol) -> None:
    taken, other = enrol("taken-1"), enrol("other-1")
    async with echo() as port, listening(other, {"code": port}) as address:
        stream = await dial(address, taken.identity)
        with pytest.raises(LinkBroken):
            await stream.ask("agent code")
        stream.abort()


async def test_an_invitations_certificate_opens_nothing_at_a_node(authority: Authority, enrol: Enrol) -> None:
    guest, other = enrol("guest-1", signed=False), enrol("other-1")
    async with echo() as port, listening(other, {"code": port}) as address:
        stream = await dial(address, guest.identity)
        with pytest.raises(LinkBroken):
            await stream.ask("agent code")
        stream.abort()


async def test_home_of_another_mesh_is_not_let_in_and_does_not_take_this_one_for_its_own(
    foreign: Authority, enrol: Enrol
) -> None:
    async with echo() as port, listening(enrol(), {"code": port}) as address:
        with pytest.raises(LinkBroken, match="certificate is not good"):
            await dial(address, home_identity(foreign))


async def test_who_shows_no_certificate_or_speaks_an_older_tls_hears_nothing(
    authority: Authority, enrol: Enrol
) -> None:
    async with echo() as port, listening(enrol(), {"code": port}) as address:
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        nobody.check_hostname = False
        nobody.load_verify_locations(str(authority.certificate_path))
        reader, writer = await asyncio.open_connection(*address, ssl=nobody)
        writer.write(b"agent code\n")
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.transport.abort()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.load_verify_locations(str(authority.certificate_path))
        old.load_cert_chain(str(authority.folder / "link.pem"))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(*address, ssl=old)


async def test_strangers_that_hold_their_handshakes_open_do_not_keep_home_out(
    authority: Authority, enrol: Enrol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_S", 3600.0)
    async with echo() as port, listening(enrol(), {"code": port}) as address:
        strangers = [socket.create_connection(address) for _ in range(2 * listener.HANDSHAKES)]
        try:
            for stranger in strangers[::2]:
                stranger.sendall(b"\x16\x03\x01")  # the beginning of a handshake record
            stream = await dial(address, home_identity(authority))
            await stream.ask("agent code")
            await stream.close()
            # The oldest were dropped for the newer ones.
            strangers[0].settimeout(WITHIN_S)
            with contextlib.suppress(ConnectionError):
                assert await asyncio.to_thread(strangers[0].recv, 1024) == b""
        finally:
            for stranger in strangers:
                stranger.close()


@QUIET
@given(things=st.lists(st.binary(min_size=1, max_size=2000), min_size=8, max_size=8))
async def test_bytes_that_are_no_tls_are_dropped_and_the_node_goes_on(
    authority: Authority, enrol: Enrol, things: list[bytes]
) -> None:
    async with echo() as port, listening(enrol(), {"code": port}) as address:
        for garbage in things:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(garbage)
            writer.write_eof()
            async with asyncio.timeout(WITHIN_S):
                while await _more(reader):
                    pass
            writer.transport.abort()
        await _served(authority, address)


async def _more(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1024)
    except ConnectionError:
        return b""


@QUIET
@given(lines=st.lists(st.tuples(st.binary(max_size=3000), st.booleans()), min_size=4, max_size=4))
async def test_home_itself_may_say_anything_and_the_node_goes_on(
    authority: Authority, enrol: Enrol, lines: list[tuple[bytes, bool]]
) -> None:
    async with echo() as port, listening(enrol(), {"code": port}) as address:
        for line, ended in lines:
            stream = await dial(address, home_identity(authority))
            stream.writer.write(line.replace(b"agent", b"-") + (b"\n" if ended else b""))
            if ended:
                async with asyncio.timeout(WITHIN_S):
                    await _more(stream.reader)
            stream.abort()
        await _served(authority, address)


async def test_a_line_without_end_is_cut_off(authority: Authority, enrol: Enrol) -> None:
    async with echo() as port, listening(enrol(), {"code": port}) as address:
        stream = await dial(address, home_identity(authority))
        await stream.ask("control")
        stream.writer.write(b"x" * (8 * LINE_BYTES))
        async with asyncio.timeout(WITHIN_S):
            assert await _more(stream.reader) == b""
        stream.abort()
        await _served(authority, address)


async def _served(authority: Authority, address: tuple[str, int]) -> None:
    stream = await dial(address, home_identity(authority))
    await stream.ask("agent code")
    stream.writer.write(b"still there")
    assert await stream.reader.readexactly(11) == b"still there"
    await stream.close()


async def test_who_is_cancelled_while_a_connection_closes_ends_and_the_connection_with_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        stream = await connect(*deaf.getsockname())
        stream.writer.write(bytes(64 * 1024 * 1024))
        closing = asyncio.create_task(stream.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await stream.close()
        assert stream.ended


async def test_an_agent_that_does_not_listen_is_said_and_the_link_stays(authority: Authority, enrol: Enrol) -> None:
    async with echo() as port:
        pass
    async with listening(enrol(), {"code": port}) as address:
        stream = await dial(address, home_identity(authority))
        with pytest.raises(PeerRefused, match="code does not listen"):
            await stream.ask("agent code")
        await stream.close()


async def test_a_certificate_renewed_over_the_link_is_shown_from_then_on_and_nothing_is_cut(
    authority: Authority, enrol: Enrol
) -> None:
    node = enrol()
    async with echo() as port, listening(node, {"code": port}) as address:
        before = await dial(address, home_identity(authority))
        await before.ask("agent code")
        control = await dial(address, home_identity(authority))
        await control.ask("control")
        await control.say(Question(ask="csr").model_dump_json())
        asked = SigningRequest.model_validate_json(await control.hear())
        pem, _ = authority.certify_node("vps-1", requested_key(asked.csr))
        await control.say(Question(ask="certify", certificate=pem).model_dump_json())
        assert "done" in await control.hear()
        await control.close()
        after = await dial(address, home_identity(authority))
        assert _shown(after) != _shown(before)
        assert after.peer() == before.peer()
        for stream in (before, after):
            if stream is after:
                await stream.ask("agent code")
            stream.writer.write(b"alive")
            assert await stream.reader.readexactly(5) == b"alive"
            await stream.close()


def _shown(stream: Stream) -> bytes:
    found = stream.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert isinstance(found, bytes)
    return found
