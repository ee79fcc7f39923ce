"""Which callback URLs are accepted, and that what was checked is what is connected to."""

import socket
from ipaddress import ip_address

import pytest

from concilium.contracts.errors import Invalid
from concilium.gateway.ssrf import CallbackRefused, Guard, GuardedResolver, is_public, parse, redacted

REFUSED = [
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "javascript:alert(1)",
    "//example.com/",
    "example.com/hook",
    "http://",
    "http:///hook",
    "http://user@203.0.113.1/",
    "http://user:secret@example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1/",
    "http://127.0.0.1:6379/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.01/",
    "http://1.2.3.4.5/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[2606:4700::1%25eth0]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]/",
    "http://[::1/",
    "http://localhost/",
    "http://LOCALHOST:8400/",
    "http://localhost./",
    "http://example.com:0/",
    "http://example.com:99999/",
    "http://example.com:port/",
    "http://exa mple.com/",
    "http://example.com/\r\nX-Evil: 1",
    "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1%00.example.com/",
    "http://%31%32%37.0.0.1/",
    "http://-/",
    "http://a..b/",
    "http://" + "a" * 64 + ".com/",
    "http://does-not-exist.invalid/",
]


@pytest.mark.parametrize("url", REFUSED)
async def test_a_url_that_could_reach_inside_is_refused(url: str) -> None:
    with pytest.raises(CallbackRefused):
        await Guard(()).check(url)


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/", "https://8.8.8.8:8443/hook?token=x", "http://[2606:4700:4700::1111]/"]
)
async def test_a_public_address_is_accepted(url: str) -> None:
    assert (await Guard(()).check(url)).address is not None


def test_a_url_is_put_into_one_spelling() -> None:
    assert str(parse("HTTP://Example.COM./a%2Fb?x=%20&y#frag").url) == "http://example.com/a%2Fb?x=%20&y"
    russian = parse("https://пример.рф/путь?ключ=1")
    assert russian.host == "xn--e1afmkfd.xn--p1ai"
    assert str(russian.url).isascii()


async def test_the_owner_may_list_networks_and_host_port_pairs() -> None:
    guard = Guard(("10.1.0.0/16", "localhost:5678", "[::1]:5678"))
    assert (await guard.check("http://10.1.2.3/")).host == "10.1.2.3"
    assert (await guard.check("http://localhost:5678/resume")).port == 5678
    assert (await guard.check("http://[::1]:5678/")).host == "::1"
    for url in ("http://10.2.0.1/", "http://localhost:8400/", "http://127.0.0.1:5678/", "http://[::1]/"):
        with pytest.raises(CallbackRefused):
            await guard.check(url)


async def test_a_pair_with_a_path_opens_nothing_beside_that_path() -> None:
    guard = Guard(("127.0.0.1:5678/webhook-waiting/", "localhost:5678/webhook-waiting/"))
    for host in ("127.0.0.1", "localhost"):
        assert (await guard.check(f"http://{host}:5678/webhook-waiting/7?signature=a%2Fb")).port == 5678
        for path in ("", "/", "/webhook/ask", "/rest/login", "/webhook-waiting", "/webhook-waiting/../rest/login",
                     "/webhook-waiting/%2e%2e/rest", "/webhook-waiting/%252e./rest", "?/webhook-waiting/"):  # fmt: skip
            with pytest.raises(CallbackRefused):
                await guard.check(f"http://{host}:5678{path}")


@pytest.mark.parametrize(
    "rest",
    ["/webhook-waiting/12?signature=aB%2fc%2F+d&&x=1&x=2&=", "/a//b/./c;v=1,2?q=~!$'()*:@/?[]", "/%7Euser/%d1%84", "/"],
)
def test_what_follows_the_host_is_called_byte_for_byte(rest: str) -> None:
    assert parse(f"http://127.0.0.1:5678{rest}").url.raw_path_qs == rest


@pytest.mark.parametrize("entry", ["localhost", "10.0.0.1/33", "host:port", ":80", ""])
def test_a_malformed_allow_list_is_an_error_that_names_the_entry(entry: str) -> None:
    with pytest.raises(Invalid, match=r"callbacks\.allow"):
        Guard((entry,))


async def test_the_resolver_judges_what_it_hands_out() -> None:
    refusing, allowing = GuardedResolver(Guard(())), GuardedResolver(Guard(("127.0.0.0/8", "::1/128")))
    with pytest.raises(CallbackRefused):
        await refusing.resolve("localhost", 80)
    found = await allowing.resolve("localhost", 80, socket.AF_INET)
    assert {ip_address(entry["host"]).is_loopback for entry in found} == {True}


def test_a_name_with_one_bad_address_among_good_ones_is_refused() -> None:
    with pytest.raises(CallbackRefused):
        Guard(()).judge("rebind.example", 80, [ip_address("8.8.8.8"), ip_address("127.0.0.1")])


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1", "2a00:1450::1"])
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_logs_see_neither_credentials_nor_the_query() -> None:
    shown = redacted("https://user:pass@example.com:5678/resume/7?signature=s3cret#x")
    assert shown == "https://example.com:5678/resume/7?…"
    assert redacted("http://[::1") == "(malformed URL)"
