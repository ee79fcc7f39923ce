"""The owner's command, on a home that signs and on one that only believes."""

import json
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from concilium.adapters.trust import Code, KeyFolder, Owner, TrustRefused, TrustState, verify
from concilium.cli.app import run
from concilium.contracts.base import utc_now
from support.trust import write_bundle

PASSPHRASE = "correct horse battery staple"
STICK_PASSPHRASE = "верная лошадь батарея скоба"


@dataclass
class Command:
    """The command of one home."""

    home: Path
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self.monkeypatch.setenv("CONCILIUM_HOME", str(self.home))
        code = run(["trust", *map(str, arguments)])
        out, err = self.capfd.readouterr()
        assert PASSPHRASE not in out + err
        assert STICK_PASSPHRASE not in out + err
        return code, out, err

    def json(self, *arguments: object) -> Any:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def verify(self, bundle: Path) -> None:
        verify(TrustState(self.home / "trust"), bundle, utc_now(), models=())


At = Callable[[str], Command]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> At:
    return lambda name: Command(tmp_path / name, monkeypatch, capfd)


def passphrase_file(path: Path, passphrase: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(passphrase + "\n")
    return path


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with the passphrase of the keys at home."""
    return passphrase_file(tmp_path / "passphrase", PASSPHRASE)


@pytest.fixture
def sticks(tmp_path: Path) -> list[Path]:
    return [tmp_path / f"stick-{name}" for name in "abc"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home and three sticks, of which two have to sign: made once, since keys take their time."""
    folder = tmp_path_factory.mktemp("made")
    keys = KeyFolder(folder / "home" / "keys" / "trust", PASSPHRASE)
    sticks = [KeyFolder(folder / f"stick-{name}", STICK_PASSPHRASE) for name in "abc"]
    Owner(TrustState(folder / "home" / "trust"), keys, utc_now()).found(sticks, 2)
    return folder


@pytest.fixture
def home(at: At, made: Path, tmp_path: Path) -> Command:
    """A home with an index, and its sticks."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return at("home")


def with_sticks(*folders: Path) -> list[object]:
    """The options for some sticks and their passphrase."""
    file = passphrase_file(folders[0].parent / "stick-passphrase", STICK_PASSPHRASE)
    return [*(part for folder in folders for part in ("--stick", folder)), "--stick-passphrase-file", file]


def carry(tmp_path: Path, home: Command, to: Command, *more: object) -> tuple[int, str, str]:
    home.json("export", tmp_path / "carried")
    return to("import", tmp_path / "carried", *more)


def test_an_adapter_signed_at_home_is_good_where_the_index_was_carried(
    tmp_path: Path, home: Command, at: At, secret: Path
) -> None:
    bundle, away = write_bundle(tmp_path / "sport"), at("vps")
    signed = home.json("sign", bundle, "--passphrase-file", secret)
    assert [each["adapter"] for each in signed["adapters"]] == ["sport@1.2.0"]
    fingerprint = home.json("status")["fingerprint"]
    assert carry(tmp_path, home, away, "--fingerprint", fingerprint)[0] == 0
    home.verify(bundle)
    away.verify(bundle)
    assert away.json("status") == home.json("status")


def test_init_makes_an_empty_index_that_is_good(at: At, secret: Path, sticks: list[Path]) -> None:
    facts = at("new").json("init", *with_sticks(*sticks), "--passphrase-file", secret)
    assert (facts["refused"], facts["adapters"]) == ("", [])
    assert [role["threshold"] for role in facts["roles"]] == [2, 1, 1, 1]
    assert at("new").json("status") == facts


def test_private_keys_are_encrypted_and_for_their_owner_alone(home: Command, sticks: list[Path]) -> None:
    keys = [path for folder in (*sticks, home.home / "keys" / "trust") for path in folder.iterdir()]
    assert sorted(path.name.partition("-")[0] for path in keys) == ["freshness", "index", "root", "root", "root"]
    for path in keys:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for password in (
            None,
            PASSPHRASE.encode(),
            STICK_PASSPHRASE.encode(),
        ):  # the passphrase alone does not open it: it is stretched
            with pytest.raises((TypeError, ValueError)):
                load_pem_private_key(path.read_bytes(), password)


def test_init_never_overwrites(home: Command, sticks: list[Path], secret: Path) -> None:
    before = (home.home / "trust" / "trusted.json").read_bytes()
    code, _, err = home("init", *with_sticks(*sticks), "--passphrase-file", secret)
    assert code == 1
    assert "holds an index already" in err
    assert (home.home / "trust" / "trusted.json").read_bytes() == before
    assert len(list(sticks[0].iterdir())) == 1


@pytest.mark.parametrize(("text", "says"), [("another passphrase", "does not open"), ("", "no passphrase")])
def test_a_wrong_passphrase_signs_nothing(tmp_path: Path, home: Command, secret: Path, text: str, says: str) -> None:
    secret.write_text(text)
    code, _, err = home("sign", write_bundle(tmp_path / "sport"), "--passphrase-file", secret)
    assert (code, says in err) == (1, True)
    assert home.json("status")["adapters"] == []


def test_a_passphrase_that_everybody_may_read_is_not_used(tmp_path: Path, home: Command, secret: Path) -> None:
    secret.chmod(0o644)
    code, _, err = home("refresh", "--passphrase-file", secret)
    assert (code, "everybody may read" in err) == (1, True)


def test_a_short_passphrase_makes_no_keys(at: At, secret: Path, sticks: list[Path]) -> None:
    secret.write_text("short")
    code, _, err = at("home")("init", *with_sticks(*sticks), "--passphrase-file", secret)
    assert (code, "at least 12" in err) == (1, True)
    assert not sticks[0].exists()


def test_two_root_keys_are_not_put_on_one_stick(at: At, secret: Path, sticks: list[Path]) -> None:
    code, _, err = at("home")("init", *with_sticks(sticks[0], sticks[0]), "--passphrase-file", secret)
    assert (code, "on one stick" in err) == (1, True)


def test_what_cannot_be_written_is_said_and_changes_nothing(tmp_path: Path, home: Command) -> None:
    (tmp_path / "file").touch()
    code, _, err = home("export", tmp_path / "file" / "folder")
    assert (code, "cannot be made" in err) == (1, True)
    (tmp_path / "taken" / "1.root.json").mkdir(parents=True)
    code, _, err = home("export", tmp_path / "taken")
    assert (code, "cannot be written" in err) == (1, True)


def test_a_home_that_cannot_hold_a_belief_says_so(at: At, secret: Path, sticks: list[Path]) -> None:
    command = at("home")
    command.home.mkdir()
    (command.home / "trust").touch()
    code, _, err = command("init", *with_sticks(*sticks), "--passphrase-file", secret)
    assert (code, "cannot be locked" in err) == (1, True)


def test_a_new_home_needs_the_fingerprint(tmp_path: Path, home: Command, at: At) -> None:
    code, _, err = carry(tmp_path, home, at("vps"))
    assert (code, "trusts nobody yet" in err) == (1, True)
    code, _, err = carry(tmp_path, home, at("vps"), "--fingerprint", "ab" * 32)
    assert (code, "unknown-root" in err) == (1, True)


def test_a_version_is_signed_once(tmp_path: Path, home: Command, secret: Path) -> None:
    home.json("sign", write_bundle(tmp_path / "one"), "--passphrase-file", secret)
    other = write_bundle(tmp_path / "two", note="other bytes")
    code, _, err = home("sign", other, "--passphrase-file", secret)
    assert (code, "raise the version" in err) == (1, True)


def test_a_revoked_adapter_is_refused_wherever_the_index_arrives(
    tmp_path: Path, home: Command, at: At, secret: Path
) -> None:
    bundle, away = write_bundle(tmp_path / "sport"), at("vps")
    home.json("sign", bundle, "--passphrase-file", secret)
    carry(tmp_path, home, away, "--fingerprint", home.json("status")["fingerprint"])
    home.json("revoke", "sport@1.2.0", "--why", "обучен на чужих данных", "--passphrase-file", secret)
    away.verify(bundle)  # nobody has told it yet
    assert carry(tmp_path, home, away)[0] == 0
    for command in (home, away):
        with pytest.raises(TrustRefused) as refusal:
            command.verify(bundle)
        assert refusal.value.code is Code.REVOKED


@pytest.mark.parametrize("why", ["", "two\nlines", "x" * 201])
def test_a_reason_that_would_not_be_read_is_refused(home: Command, secret: Path, tmp_path: Path, why: str) -> None:
    home.json("sign", write_bundle(tmp_path / "sport"), "--passphrase-file", secret)
    code, _, err = home("revoke", "sport@1.2.0", "--why", why, "--passphrase-file", secret)
    assert (code, "one printable line" in err) == (1, True)


def test_a_stolen_index_key_is_replaced_with_sticks_that_never_meet(
    tmp_path: Path, home: Command, at: At, secret: Path, sticks: list[Path]
) -> None:
    bundle, away, elsewhere = write_bundle(tmp_path / "sport"), at("vps"), at("air-gapped")
    home.json("sign", bundle, "--passphrase-file", secret)
    carry(tmp_path, home, away, "--fingerprint", home.json("status")["fingerprint"])
    old_keys = {path.name for path in (home.home / "keys" / "trust").iterdir()}
    code, _, err = home("rotate", "index", *with_sticks(sticks[0]), "--passphrase-file", secret)
    assert code == 1
    assert "adds" in err
    assert "cosign" in err
    draft = home.home / "trust" / "root.draft.json"
    assert elsewhere("cosign", draft, *with_sticks(sticks[1]))[0] == 0
    facts = home.json("adopt", draft, "--passphrase-file", secret)
    assert facts["roles"][0]["version"] == 2
    new_keys = {path.name for path in (home.home / "keys" / "trust").iterdir()}
    assert len(old_keys - new_keys) == len(new_keys - old_keys) == 1
    assert carry(tmp_path, home, away)[0] == 0
    away.verify(bundle)
    home.verify(bundle)


def test_a_lost_stick_is_replaced(tmp_path: Path, home: Command, secret: Path, sticks: list[Path]) -> None:
    root = home.json("status")["roles"][0]
    lost = next(key for key in root["keys"] if (sticks[2] / f"root-{key[:16]}.key").exists())
    new = ("--drop", lost, "--new-stick", tmp_path / "stick-d")
    facts = home.json("rotate", "root", *new, *with_sticks(*sticks[:2]), "--passphrase-file", secret)
    assert lost not in facts["roles"][0]["keys"]
    assert len(facts["roles"][0]["keys"]) == 3
    remaining = with_sticks(sticks[0], tmp_path / "stick-d")
    assert home.json("rotate", "freshness", *remaining, "--passphrase-file", secret)["roles"][0]["version"] == 3


def test_a_stick_that_is_not_asked_for_signs_nothing(
    tmp_path: Path, home: Command, at: At, secret: Path, sticks: list[Path]
) -> None:
    assert at("other")("init", *with_sticks(tmp_path / "foreign"), "--passphrase-file", secret)[0] == 0
    code, _, err = home("rotate", "index", *with_sticks(tmp_path / "foreign"), "--passphrase-file", secret)
    assert (code, "holds no root key" in err) == (1, True)


def test_refreshing_takes_the_freshness_key_alone(home: Command, secret: Path) -> None:
    (index,) = (home.home / "keys" / "trust").glob("index-*")
    index.unlink()
    versions = {role["role"]: role["version"] for role in home.json("refresh", "--passphrase-file", secret)["roles"]}
    assert versions == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 1}


def test_an_adapter_may_not_be_called_what_the_base_model_is(
    tmp_path: Path, home: Command, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONCILIUM_ENGINE__MODEL", "Owner/Sport")
    code, _, err = home("sign", write_bundle(tmp_path / "sport"), "--passphrase-file", secret)
    assert (code, "name-taken" in err) == (1, True)


def test_people_see_what_is_trusted(tmp_path: Path, home: Command, secret: Path) -> None:
    home.json("sign", write_bundle(tmp_path / "sport"), "--passphrase-file", secret)
    code, out, _ = home("status")
    assert code == 0
    assert "root         version 1" in out
    assert "sport@1.2.0" in out


def test_the_status_of_a_home_that_trusts_nobody_says_what_to_do(at: At) -> None:
    code, _, err = at("new")("status")
    assert (code, "`concilium trust init` or `import`" in err) == (1, True)


def test_a_release_of_others_is_signed_when_their_signature_holds(tmp_path: Path, home: Command, secret: Path) -> None:
    data = Path(__file__).parents[2] / "data" / "trust"
    bundle, key = write_bundle(tmp_path / "sport"), ("--release-key", data / "release-p256.pem")
    wrong = ("--release-signature", data / "release-p384.sig", *key, "--passphrase-file", secret)
    code, _, err = home("sign", bundle, *wrong)
    assert (code, "release-unsigned" in err) == (1, True)
    missing = ("--release-signature", data / "none.sig", *key, "--passphrase-file", secret)
    code, _, err = home("sign", bundle, *missing)
    assert (code, "none.sig" in err) == (1, True)
    right = ("--release-signature", data / "release-p256.sig", *key, "--passphrase-file", secret)
    assert home.json("sign", bundle, *right)["adapters"][0]["adapter"] == "sport@1.2.0"


def test_sticks_need_never_be_at_home(home: Command, at: At, secret: Path, sticks: list[Path]) -> None:
    draft, elsewhere = home.home / "trust" / "root.draft.json", at("air-gapped")
    code, _, err = home("rotate", "index", "--passphrase-file", secret)
    assert (code, "`concilium trust cosign`" in err) == (1, True)
    for stick in sticks[1:]:
        assert elsewhere("cosign", draft, *with_sticks(stick))[0] == 0
    assert home.json("adopt", draft, "--passphrase-file", secret)["refused"] == ""


def test_the_passphrase_of_home_opens_no_stick(home: Command, secret: Path, sticks: list[Path]) -> None:
    options = ("--stick", sticks[0], "--stick-passphrase-file", secret, "--passphrase-file", secret)
    code, _, err = home("rotate", "index", *options)
    assert (code, "does not open" in err) == (1, True)


def test_an_index_that_nobody_refreshed_is_said_to_be_expired_until_it_is_refreshed(
    tmp_path: Path, at: At, secret: Path
) -> None:
    home, then = at("old"), utc_now() - timedelta(days=31)
    keys, stick = KeyFolder(home.home / "keys" / "trust", PASSPHRASE), KeyFolder(tmp_path / "stick", STICK_PASSPHRASE)
    Owner(TrustState(home.home / "trust"), keys, then).found([stick], 1)
    code, out, _ = home("status")
    assert (code, "was good until" in out) == (1, True)
    assert home("refresh", "--passphrase-file", secret)[0] == 0
    assert home("status")[0] == 0


def test_a_rotation_that_makes_no_sense_makes_no_draft(home: Command, secret: Path) -> None:
    keys = home.json("status")["roles"][0]["keys"]
    for drop, says in ((["ab" * 32], "no root key has the id"), (keys[:2], "too few root keys")):
        options = [part for key in drop for part in ("--drop", key)]
        code, _, err = home("rotate", "root", *options, "--passphrase-file", secret)
        assert (code, says in err) == (1, True)
    assert not (home.home / "trust" / "root.draft.json").exists()
    code, _, err = home("adopt", home.home / "trust" / "root.draft.json", "--passphrase-file", secret)
    assert (code, "there is no draft" in err) == (1, True)
