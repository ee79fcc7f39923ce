"""A Docker daemon of the tests' own, without networks; gVisor as one of its runtimes."""

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.docker import Docker, running_docker

RUNTIMES = {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--platform=ptrace", "--network=none"]}}
LINKS = [path for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32") if Path(path).is_symlink()]


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A daemon with nothing in it."""
    if os.geteuid() != 0 or not (shutil.which("dockerd") and shutil.which("docker") and shutil.which("runsc")):
        pytest.skip("needs root, docker.io and runsc")
    with tempfile.TemporaryDirectory(prefix="concilium-docker-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with running_docker(folder, iptables=False, runtimes=RUNTIMES) as found:
            yield found
            assert found.containers() == []


@pytest.fixture(scope="session")
def image(docker: Docker) -> str:
    """An image of a root with nothing but links and an empty /tmp; the tests bind the system's folders into it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in LINKS:
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, str(Path(path).readlink()), 0o777
            tar.addfile(entry)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    docker("import", "-", "concilium-test:empty", given=packed.getvalue())
    return "concilium-test:empty"
