"""n8n on another machine, the mesh behind NAT: an SSH tunnel from home is the one way in."""

import signal
import subprocess
from pathlib import Path

from support.n8n import N8n, given, until
from support.ssh_server import ssh_server

SCRIPT = "Run this Python script:\n```python\nprint(6 * 7)\n```"


def ask(n8n: N8n) -> str:
    return str(n8n.http.post("/webhook/test/elsewhere", json={"text": SCRIPT}).json()["execution"])


def test_n8n_reaches_a_mesh_behind_nat_through_the_tunnel_that_home_opens(n8n: N8n, tmp_path: Path) -> None:
    cut_off = n8n.ended(ask(n8n))
    assert cut_off["status"] == "error"
    with ssh_server(tmp_path) as server:
        tunnel = subprocess.Popen(server.tunnel(n8n.tunnel_port, n8n.mesh_port), stderr=subprocess.PIPE, text=True)
        try:
            until(lambda: tunnel.poll() is not None or n8n.tunnel_open(), bool)
            assert tunnel.poll() is None, tunnel.communicate()[1]
            execution = n8n.ended(ask(n8n))
        finally:
            tunnel.send_signal(signal.SIGTERM)
            tunnel.communicate(timeout=30)
    assert execution["status"] == "success", execution
    assert "42" in given(execution, "Done")[0]["json"]["text"]
