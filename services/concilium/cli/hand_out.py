"""Hands each container of a mesh in Docker Compose the secrets it needs, and no others.

``python -m concilium.cli.hand_out FOLDER MESH_URL`` makes the secrets that are missing in ``CONCILIUM_HOME/keys`` and
copies them into one folder for each receiver. A receiver's files belong to the group of its folder, which is the group
of the container that reads it, and to nobody else. Run again, it mends what was changed and hands out what was rotated.
"""

import json
import os
import stat
import sys
from pathlib import Path

from concilium.cli.errors import CliError
from concilium.cli.keyfiles import ensure_keys
from concilium.cli.n8n.workflows import credential, workflows
from concilium.contracts.errors import ConciliumError
from concilium.gateway.secrets import api_key, random_key, secret_file
from concilium.home import Home, keep_private

GROUP = 0o440
OWN = 0o600
RECEIVERS: dict[str, tuple[str, ...]] = {
    "agents": ("mesh.previous.key", "mesh.key"),
    "runner": ("runner.key", "mesh.previous.key", "mesh.key"),
    "prometheus": ("mesh.key",),
}
"""Receivers of files of `keys/`, as they are there; a file that is not there is not handed out. Who takes a key comes
before who shows it, and the old key before the new, so that in a rotation nobody is refused meanwhile."""
DATABASE = "database:5432:concilium:concilium"
"""The entry of the control plane's password file (libpq, section 34.16): host, port, database, user."""


def hand_out(home: Home, given: Path, mesh_url: str) -> None:
    """Make what is missing and hand everything out.

    Args:
        home: the home of the control plane.
        given: the folder that holds one folder for each receiver.
        mesh_url: where n8n reaches the mesh.

    Raises:
        OSError: a folder is missing, is another user's, or this process is not in its group.
        CliError: a workflow of the owner is none.
    """
    home.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    ensure_keys(home)
    for receiver, names in RECEIVERS.items():
        for name in names:
            _copy(home.keys / name, given / receiver / name)
    _database(given)
    _password(given / "grafana")
    _n8n(home, given / "n8n", mesh_url)


def _database(given: Path) -> None:
    """Hand out the password that the database is made with; the control plane has it in libpq's form."""
    password = _password(given / "database")
    _put(given / "control" / "database.pgpass", f"{DATABASE}:{password}\n", OWN)


def _password(folder: Path) -> str:
    """Return the password in a folder, made when there is none: its receiver takes it once and keeps it."""
    place = folder / "password"
    password = place.read_text(encoding="ascii").strip() if place.is_file() else random_key()
    _put(place, password + "\n")
    return password


def _n8n(home: Home, folder: Path, mesh_url: str) -> None:
    """Hand out n8n's own key, the credential with its API key, and the workflows with the mesh's address."""
    encryption = home.keys / "n8n-encryption.key"
    if not encryption.is_file():
        _put(encryption, random_key(), OWN)  # without a line end: n8n reads it as a part of the key
    _copy(encryption, folder / encryption.name)
    secret = secret_file(home.keys / "n8n.key", api_key)
    _put(folder / "credential.json", json.dumps(credential(secret)))
    wanted = {f"{each.name}.json": json.dumps(each.content) for each in workflows(home, mesh_url)}
    place = folder / "workflows"
    place.mkdir(exist_ok=True)
    os.chown(place, -1, folder.stat().st_gid)
    place.chmod(0o750)
    for name, text in wanted.items():
        _put(place / name, text)
    for path in place.iterdir():
        if path.name not in wanted:
            path.unlink()


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        _put(target, source.read_text(encoding="ascii"))
    else:
        target.unlink(missing_ok=True)


def _put(path: Path, text: str, mode: int = GROUP) -> None:
    """Have a file hold a text, in the group of its folder; it is replaced at once, and only when it differs."""
    if not (path.is_file() and path.read_text(encoding="utf-8") == text):
        new = path.with_name(f".{path.name}.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
    os.chown(path, -1, path.parent.stat().st_gid)
    path.chmod(mode)


def handed(given: Path) -> list[str]:
    """Return one line for each file that was handed out: owner, group, mode, name; no content."""
    return [
        f"{found.st_uid}:{found.st_gid} {stat.S_IMODE(found.st_mode):04o} {path.relative_to(given)}"
        for path in sorted(given.rglob("*"))
        if path.is_file() and (found := path.stat())
    ]


def main() -> int:
    """Hand out below the folder that is named, and say what is there; 2 when it cannot be done."""
    keep_private()
    given, mesh_url = Path(sys.argv[1]), sys.argv[2]
    try:
        hand_out(Home.find(), given, mesh_url)
    except (ConciliumError, CliError, OSError) as error:
        who = f"uid {os.geteuid()}, groups {', '.join(map(str, os.getgroups()))}"
        print(f"setup ({who}): {error}", file=sys.stderr)
        return 2
    print("\n".join(handed(given)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
