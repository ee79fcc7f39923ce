"""What this room writes is plain TUF: the reference client of python-tuf reads it and comes to the same."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from concilium.adapters.trust import export_to
from concilium.contracts.base import utc_now
from support.trust import Mesh


class FolderFetcher(FetcherInterface):
    """Reads a repository from a folder."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(url2pathname(urlparse(url).path))
        if not path.exists():
            raise DownloadHTTPError(url, 404)
        yield path.read_bytes()


def test_the_reference_client_finds_the_same_adapter_after_a_rotation(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, now=utc_now())  # that client has a clock of its own
    first = mesh.state.load().root.raw
    root = mesh.rotated("index")
    mesh.deliver(mesh.next_index(), root)
    repository = tmp_path / "repository"
    export_to(mesh.state, repository)
    client = Updater(str(tmp_path / "client"), repository.as_uri(), fetcher=FolderFetcher(), bootstrap=first)
    client.refresh()
    found = client.get_targetinfo("adapters/sport/1.2.0/manifest.json")
    assert found is not None
    assert found.hashes == {"sha256": mesh.target_of(mesh.bundle).digest}
