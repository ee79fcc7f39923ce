"""Weights are fetched from servers that break, lie, ignore ranges and lead elsewhere."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from concilium.cli.app import app
from concilium.contracts.errors import ConciliumError, DiskFull, Invalid, Unavailable
from concilium.engine import pull, weights
from concilium.engine.listing import from_tree
from concilium.engine.remote import Remote
from support.hub import COMMIT, REPOSITORY, Hub, safetensors, serving

Ask = Callable[..., Awaitable[Any]]
WEIGHTS = "model-00001-of-00002.safetensors"
FILES = {
    "config.json": b'{"hidden_size": 64}',
    "tokenizer.json": b'{"model": {}}',
    WEIGHTS: safetensors(900_000),
    "model-00002-of-00002.safetensors": safetensors(300_000),
    "LICENSE": b"free",
}


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with serving(Hub(dict(FILES))) as running:
        yield running


@pytest.fixture
async def remote(hub: Hub) -> AsyncIterator[Remote]:
    async def judge(url: str) -> None:
        if not url.startswith(hub.url):
            raise Invalid(f"{url} is elsewhere")

    async with aiohttp.ClientSession() as session:
        yield Remote(session, judge)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "PAUSE_S", 0.001)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return weights.folder(tmp_path, REPOSITORY)


async def fetch(remote: Remote, hub: Hub, place: Path) -> dict[str, int]:
    here: dict[str, int] = {}
    wanted = await pull.of_hub(remote, hub.url, REPOSITORY)
    await pull.fetch(remote, wanted, place, here.__setitem__)
    return here


def files(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir() if not path.name.startswith(".")}


async def test_a_repository_of_a_hub_is_fetched_whole_and_of_one_commit(
    remote: Remote, hub: Hub, place: Path, tmp_path: Path
) -> None:
    here = await fetch(remote, hub, place)
    assert files(place) == FILES
    assert here == {name: len(data) for name, data in FILES.items()}
    assert weights.pulled(tmp_path, REPOSITORY) == place
    receipt = weights.receipt(place)
    assert receipt is not None
    assert receipt.commit == COMMIT
    assert set(receipt.files) == set(FILES)


async def test_a_plain_folder_with_a_list_of_sums_serves_as_well(remote: Remote, hub: Hub, place: Path) -> None:
    wanted = await pull.of_folder(remote, f"{hub.url}/plain")
    assert wanted.total == sum(map(len, FILES.values()))
    await pull.fetch(remote, wanted, place, lambda _name, _count: None)
    assert files(place) == FILES


async def test_a_folder_of_this_machine_serves_as_well(remote: Remote, hub: Hub, place: Path, tmp_path: Path) -> None:
    source = tmp_path / "with a blank"
    source.mkdir()
    for name, data in FILES.items():
        (source / name).write_bytes(data)
    (source / "SHA256SUMS").write_text(hub.sums())
    wanted = await pull.of_folder(remote, source.as_uri())
    await pull.fetch(remote, wanted, place, lambda _name, _count: None)
    assert files(place) == FILES


async def test_what_is_here_is_not_fetched_again(remote: Remote, hub: Hub, place: Path) -> None:
    await fetch(remote, hub, place)
    hub.asked.clear()
    await fetch(remote, hub, place)
    assert hub.asked == []


async def test_a_later_commit_takes_the_place_of_an_earlier_one(remote: Remote, hub: Hub, place: Path) -> None:
    await fetch(remote, hub, place)
    hub.files = {"config.json": b"{}", "model.safetensors": safetensors(1000)}
    hub.commit = "d00d" * 10
    await fetch(remote, hub, place)
    assert files(place) == hub.files


async def test_a_broken_answer_is_carried_on_where_it_broke(remote: Remote, hub: Hub, place: Path) -> None:
    hub.break_after[WEIGHTS] = [200_000, 300_000]
    await fetch(remote, hub, place)
    assert files(place) == FILES
    first, *more = hub.starts(WEIGHTS)
    assert first == 0
    assert len(more) == 2
    assert 0 < more[0] <= 200_000 < more[1]


async def test_a_later_run_carries_on_where_an_earlier_one_ended(
    remote: Remote, hub: Hub, place: Path, tmp_path: Path
) -> None:
    hub.break_after[WEIGHTS] = [400_000]

    async def trouble() -> None:
        await hub.begun.wait()
        hub.busy[WEIGHTS] = 100

    watching = asyncio.create_task(trouble())
    with pytest.raises(Unavailable, match="are kept: run it again"):
        await fetch(remote, hub, place)
    await watching
    assert weights.pulled(tmp_path, REPOSITORY) is None
    assert not (place / WEIGHTS).exists()
    hub.busy.clear()
    await fetch(remote, hub, place)
    assert files(place) == FILES
    assert hub.starts(WEIGHTS)[-1] > 0


async def test_a_content_that_changed_meanwhile_is_not_joined_to_the_old_part(
    remote: Remote, hub: Hub, place: Path
) -> None:
    await asyncio.to_thread(place.mkdir, parents=True)
    (place / f"{WEIGHTS}.part").write_bytes(b"x" * 1000)
    (place / f"{WEIGHTS}.part.etag").write_text('"another"')
    await fetch(remote, hub, place)
    assert files(place) == FILES
    assert hub.starts(WEIGHTS) == [0]


@pytest.mark.parametrize("tagged", [True, False])
async def test_a_server_without_ranges_begins_anew(remote: Remote, hub: Hub, place: Path, *, tagged: bool) -> None:
    hub.ranges, hub.tagged = False, tagged
    hub.break_after[WEIGHTS] = [400_000]
    await fetch(remote, hub, place)
    assert files(place) == FILES
    assert hub.starts(WEIGHTS) == [0, 0]


async def test_a_busy_server_is_asked_again(remote: Remote, hub: Hub, place: Path) -> None:
    hub.busy["config.json"] = pull.TRIES - 1
    await fetch(remote, hub, place)
    assert files(place) == FILES


@pytest.mark.parametrize("lie", [-1, 1])
async def test_a_size_that_is_not_the_listed_one_is_refused(
    remote: Remote, hub: Hub, place: Path, tmp_path: Path, lie: int
) -> None:
    hub.listed_size[WEIGHTS] = len(FILES[WEIGHTS]) + lie
    with pytest.raises(Invalid, match="are listed"):
        await fetch(remote, hub, place)
    assert weights.pulled(tmp_path, REPOSITORY) is None


async def test_an_answer_without_end_is_cut_at_the_listed_size(remote: Remote, hub: Hub, place: Path) -> None:
    hub.longer.add(WEIGHTS)
    with pytest.raises(Invalid, match="longer than the"):
        await fetch(remote, hub, place)
    assert WEIGHTS not in files(place)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
async def test_other_bytes_than_listed_never_get_the_name(remote: Remote, hub: Hub, place: Path, name: str) -> None:
    wanted = await pull.of_hub(remote, hub.url, REPOSITORY)
    hub.files[name] = bytes(len(FILES[name]))
    with pytest.raises(Invalid, match="not what was listed"):
        await pull.fetch(remote, wanted, place, lambda _name, _count: None)
    assert name not in files(place)
    assert f"{name}.part" not in files(place)


async def test_a_pickle_is_refused_whatever_its_name(remote: Remote, hub: Hub, place: Path) -> None:
    hub.files[WEIGHTS] = b"\x80\x04\x95" + bytes(1000)
    with pytest.raises(Invalid, match="named safetensors and is none"):
        await fetch(remote, hub, place)
    hub.files = {"pytorch_model.bin": b"\x80\x04", "config.json": b"{}"}
    with pytest.raises(Invalid, match=r"pytorch_model.bin may run code"):
        await fetch(remote, hub, place)


async def test_code_and_pickles_beside_weights_are_left_out(remote: Remote, hub: Hub, place: Path) -> None:
    extra = {
        "modeling.py": b"import os",
        "optimizer.pt": b"x",
        "original/weights.safetensors": b"x",
        ".gitattributes": b"",
    }
    hub.files |= extra
    wanted = await pull.of_hub(remote, hub.url, REPOSITORY)
    assert set(wanted.left_out) == set(extra)
    await pull.fetch(remote, wanted, place, lambda _name, _count: None)
    assert files(place) == FILES


@pytest.mark.parametrize("name", ["../config.json", "/etc/config.json", "a/../../config.json"])
async def test_a_name_that_leads_out_of_the_folder_is_refused(remote: Remote, hub: Hub, name: str) -> None:
    hub.files[name] = b"{}"
    with pytest.raises(Invalid, match="leads out"):
        await pull.of_hub(remote, hub.url, REPOSITORY)


async def test_a_redirect_is_followed_where_it_may_lead(remote: Remote, hub: Hub, place: Path) -> None:
    hub.redirects["config.json"] = "/plain/tokenizer.json?signature=secret"
    hub.files["config.json"] = FILES["tokenizer.json"]
    await fetch(remote, hub, place)
    assert files(place)["config.json"] == FILES["tokenizer.json"]


async def test_a_redirect_away_is_refused_before_anything_is_sent_there(remote: Remote, hub: Hub, place: Path) -> None:
    async with serving(Hub(dict(FILES))) as inner:
        hub.redirects["config.json"] = f"{inner.url}/plain/config.json"
        with pytest.raises(Invalid, match="is elsewhere"):
            await fetch(remote, hub, place)
        assert inner.asked == []


async def test_redirects_without_end_are_refused(remote: Remote, hub: Hub, place: Path) -> None:
    hub.redirects["config.json"] = "/plain/config.json"
    with pytest.raises(Invalid, match="more than 5 redirects"):
        await fetch(remote, hub, place)


async def test_the_disk_is_looked_at_before_the_first_byte(
    remote: Remote, hub: Hub, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=pull.SPARE_BYTES + 1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    with pytest.raises(DiskFull, match=r"needs 0\.00 GB more"):
        await fetch(remote, hub, place)
    assert hub.asked == []


async def test_files_come_side_by_side_but_not_all_at_once(remote: Remote, hub: Hub, place: Path) -> None:
    hub.files |= {f"shard-{at}.safetensors": safetensors(200_000) for at in range(12)}
    hub.gate = pull.AT_ONCE
    await fetch(remote, hub, place)
    assert hub.at_once == pull.AT_ONCE


@pytest.mark.parametrize(
    "body",
    [
        b"[",
        b"{}",
        b'[{"type": "file"}]',
        json.dumps([{"type": "file", "path": "a.json", "size": -1, "oid": ""}]).encode(),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(ConciliumError):
        from_tree(body, "https://hub.example/")


class TestCommand:
    """``concilium models pull`` as it is typed."""

    @pytest.fixture
    def ask(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
        monkeypatch.setenv("CONCILIUM_HOME", str(tmp_path))
        return lambda *words: asyncio.to_thread(CliRunner().invoke, app, ["models", "pull", *words])

    async def test_fetches_from_a_hub_and_says_how_far_it_is(self, ask: Ask, hub: Hub, place: Path) -> None:
        hub.files["modeling.py"] = b"import os"
        found = await ask("qwen3-8b", "--hub", hub.url)
        assert found.exit_code == 0, found.output
        assert files(place) == FILES
        assert "left out: modeling.py" in found.stderr
        assert "100 % of 0.00 GB" in found.stderr
        assert (await ask("qwen3-8b", "--hub", hub.url)).exit_code == 0
        assert len(hub.starts(WEIGHTS)) == 1

    async def test_a_redirect_to_a_private_place_is_refused(self, ask: Ask, hub: Hub, place: Path) -> None:
        for target in (
            "http://169.254.169.254/meta",
            "http://127.0.0.1:1/x",
            "http://localhost:1/x",
            "file:///etc/passwd",
        ):
            hub.redirects["config.json"] = target
            found = await ask("qwen3-8b", "--hub", hub.url)
            assert isinstance(found.exception, Invalid), target
            assert "which is no public address" in str(found.exception), target
        assert "config.json" not in files(place)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("gpt",), "there is no model 'gpt'"),
            (("qwen3-8b", "--hub", "http://mirror.example"), "begins with neither https"),
            (("qwen3-8b", "--from", "ftp://mirror.example"), "begins with neither https"),
        ],
    )
    async def test_what_cannot_be_meant_is_refused(self, ask: Ask, words: tuple[str, ...], said: str) -> None:
        assert said in str((await ask(*words)).exception)
