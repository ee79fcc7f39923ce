"""A token is whole, signed by its mesh and fresh, or it is refused in words."""

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from concilium.contracts.errors import Invalid
from concilium.contracts.nodes import Dial
from concilium.nodes.authority import Authority, Role, peer_of
from concilium.nodes.token import PREFIX, check_fresh, read_token
from support.guests import Invite

QUIET = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ALPHABET = string.ascii_letters + string.digits + "-_"


def test_a_token_brings_everything_that_joining_takes(invite: Invite) -> None:
    node, text = invite(dial=Dial.NODE)
    token = read_token(f"  {text}\n")
    assert (token.name, token.dial, token.address, token.agents) == (node.name, node.dial, node.address, node.agents)
    peer = peer_of(token.invitation_certificate)
    assert (peer.role, peer.name, peer.invitation) == (Role.INVITATION, node.name, node.invitation)
    assert token.private_key.public_key() == token.invitation_certificate.public_key()
    assert len(text) < 2000
    check_fresh(token)


def test_an_expired_token_says_when_it_expired_and_what_the_clock_says(invite: Invite) -> None:
    _, text = invite(valid_s=-1)
    with pytest.raises(Invalid, match=r"expired at .* clock says"):
        check_fresh(read_token(text))


@QUIET
@given(where=st.floats(0, 1, exclude_max=True), other=st.sampled_from(ALPHABET))
def test_a_token_with_any_character_changed_is_refused(invite: Invite, where: float, other: str) -> None:
    _, text = invite()
    # The last character of base64 holds bits that decode to nothing.
    place = len(PREFIX) + int(where * (len(text) - 1 - len(PREFIX)))
    assume(text[place] != other)
    with pytest.raises(Invalid):
        read_token(text[:place] + other + text[place + 1 :])


@QUIET
@given(text=st.one_of(st.text(max_size=300), st.text(ALPHABET, max_size=3000).map(lambda body: PREFIX + body)))
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_token(text)


def test_a_token_whose_parts_are_of_two_meshes_is_refused(
    invite: Invite, foreign: Authority, authority: Authority
) -> None:
    # A body that another mesh signed, under this mesh's signature, and the reverse.
    raws = [urlsafe_b64decode(invite(by)[1].removeprefix(PREFIX) + "===") for by in (authority, foreign)]
    for one, other in (raws, raws[::-1]):
        mixed = PREFIX + urlsafe_b64encode(one[:64] + other[64:]).decode().rstrip("=")
        with pytest.raises(Invalid, match="changed after"):
            read_token(mixed)
