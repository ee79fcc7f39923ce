"""The base of every image where no registry can be reached: a Debian with Python, made here."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from support.docker import Docker

CADDY = "concilium-stand-in/caddy:12"
STAND_INS = Path(__file__).parent / "stand_ins"
NAME = "concilium-stand-in/base:12"
INCLUDED = "ca-certificates,python3,python3-venv"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SOURCES = "deb http://deb.debian.org/debian bookworm main\ndeb http://deb.debian.org/debian bookworm-updates main\n"
MAKE_S = 600


def ensure_bases(docker: Docker) -> str:
    """Make what images are built on; return how that was done."""
    made = _ensure_base(docker)
    words = ["build", "--network", "host", "--build-arg", f"BASE={NAME}", "--target", "caddy", "--tag", CADDY]
    done = docker.run(*words, str(STAND_INS), timeout_s=MAKE_S)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[-2000:]
    return "made by debootstrap" if made else "from the last time"


def _ensure_base(docker: Docker) -> bool:
    if docker.run("image", "inspect", NAME).returncode == 0:
        return False
    with tempfile.TemporaryDirectory(prefix="concilium-base-", dir="/var/tmp") as name:
        root = Path(name) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={INCLUDED}", "bookworm", str(root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=MAKE_S)
        # What this machine trusts on the way to the package indexes, the images have to trust too.
        shutil.copyfile(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
        (root / "etc/apt/sources.list").write_text(SOURCES)
        told = [f"--change=ENV {name}={CERTIFICATES}" for name in ("SSL_CERT_FILE", "PIP_CERT")]
        tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "import", *told, "-", NAME],
            stdin=tar.stdout,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **docker.environ},
            check=True,
            timeout=MAKE_S,
        )
        assert tar.wait() == 0
    return True
