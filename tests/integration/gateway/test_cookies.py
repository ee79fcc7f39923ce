"""The cookie of a browser session."""

from urllib.parse import urlsplit

import aiohttp
import pytest

from support.control_plane import ControlPlane


@pytest.mark.parametrize(
    ("public_url", "host", "secure"),
    [
        ("", "127.0.0.1:8400", False),
        ("https://mesh.example.org", "mesh.example.org", True),
        ("https://mesh.example.org", "127.0.0.1:8400", False),
        ("http://mesh.example.org", "mesh.example.org", False),
    ],
)
async def test_it_is_for_tls_alone_where_the_browser_came_over_tls(
    own_plane: ControlPlane, session: aiohttp.ClientSession, public_url: str, host: str, secure: bool
) -> None:
    own_plane.settings["CONCILIUM_GATEWAY__PUBLIC_URL"] = public_url
    own_plane.start()
    origin = {"Host": host, "Origin": f"{urlsplit(public_url).scheme or 'http'}://{host}"}
    form = {"api_key": own_plane.key()}
    async with session.post(own_plane.url + "/login", data=form, headers=origin, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        cookie = answer.headers["Set-Cookie"]
    assert ("Secure" in cookie) is secure
    assert "HttpOnly" in cookie
