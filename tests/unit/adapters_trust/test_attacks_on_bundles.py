"""Whatever is done to a bundle, or to what a home believes, no engine sees a byte of it."""

import copy
import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from concilium.adapters.trust import Code, Reference, TrustRefused, VerifiedAdapter, verify
from concilium.adapters.trust.encoding import canonical
from support.trust import MODELS, Mesh, edit_json, write_bundle

Attack = Callable[[Mesh], None]
ATTACKS: list[tuple[str, Code, Attack]] = []
WEIGHTS = "adapter_model.safetensors"


def attack(code: Code) -> Callable[[Attack], Attack]:
    def add(function: Attack) -> Attack:
        ATTACKS.append((function.__name__, code, function))
        return function

    return add


def indexed(mesh: Mesh, adapter: str, **facts: Any) -> Path:
    """A bundle that the index names."""
    bundle = write_bundle(mesh.folder / adapter, adapter, "1.0.0", **facts)
    mesh.publish(mesh.target_of(bundle))
    return bundle


# --- files ----------------------------------------------------------------------------------------------------------


@attack(Code.FILE_MISMATCH)
def a_byte_of_the_weights_is_tampered_with(mesh: Mesh) -> None:
    weights = bytearray((mesh.bundle / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (mesh.bundle / WEIGHTS).write_bytes(weights)
    mesh.serve()


@attack(Code.FILE_MISMATCH)
def the_report_is_written_anew(mesh: Mesh) -> None:
    edit_json(mesh.bundle / "verify_report.json", lambda report: report.update(gates=[]))
    mesh.serve()


@attack(Code.FILE_MISMATCH)
def the_weights_are_cut_short(mesh: Mesh) -> None:
    os.truncate(mesh.bundle / WEIGHTS, 100)
    mesh.serve()


@attack(Code.FILE_MISMATCH)
def the_weights_go_on_after_their_end(mesh: Mesh) -> None:
    with (mesh.bundle / WEIGHTS).open("ab") as file:
        file.write(b"more")
    mesh.serve()


@attack(Code.FILE_MISMATCH)
def the_weights_of_another_signed_adapter_are_put_in(mesh: Mesh) -> None:
    shutil.copy(indexed(mesh, "chess") / WEIGHTS, mesh.bundle)
    mesh.serve()


@attack(Code.MISSING_FILE)
def a_file_is_taken_away(mesh: Mesh) -> None:
    (mesh.bundle / "adapter_config.json").unlink()
    mesh.serve()


@attack(Code.MISSING_FILE)
def the_manifest_is_taken_away(mesh: Mesh) -> None:
    (mesh.bundle / "manifest.json").unlink()
    mesh.serve()


@attack(Code.UNLISTED_FILE)
def a_file_is_added_that_nobody_signed(mesh: Mesh) -> None:
    (mesh.bundle / "adapter_model.bin").write_bytes(b"pickle")
    mesh.serve()


@attack(Code.UNLISTED_FILE)
def a_folder_is_added(mesh: Mesh) -> None:
    (mesh.bundle / "more").mkdir()
    mesh.serve()


@attack(Code.UNSAFE_FILE)
def the_weights_are_a_link_to_the_very_same_bytes(mesh: Mesh) -> None:
    (mesh.bundle / WEIGHTS).rename(mesh.folder / "elsewhere")
    (mesh.bundle / WEIGHTS).symlink_to(mesh.folder / "elsewhere")
    mesh.serve()


@attack(Code.UNSAFE_FILE)
def the_weights_are_a_pipe(mesh: Mesh) -> None:
    (mesh.bundle / WEIGHTS).unlink()
    os.mkfifo(mesh.bundle / WEIGHTS)
    mesh.serve()


@attack(Code.UNSAFE_FILE)
def the_bundle_is_a_link(mesh: Mesh) -> None:
    (mesh.folder / "link").symlink_to(mesh.bundle)
    mesh.serve(mesh.folder / "link")


@attack(Code.UNSAFE_FILE)
def the_bundle_is_a_file(mesh: Mesh) -> None:
    mesh.serve(mesh.bundle / WEIGHTS)


@attack(Code.TOO_LARGE)
def the_manifest_has_no_end(mesh: Mesh) -> None:
    os.truncate(mesh.bundle / "manifest.json", 2**40)
    mesh.serve()


# --- what a manifest says -------------------------------------------------------------------------------------------


@attack(Code.DIGEST_MISMATCH)
def the_manifest_is_edited_to_fit_other_weights(mesh: Mesh) -> None:
    shutil.rmtree(mesh.bundle)
    write_bundle(mesh.bundle, "sport", "1.2.0", note="other")
    mesh.serve()


@attack(Code.DIGEST_MISMATCH)
def an_adapter_takes_the_name_of_another(mesh: Mesh) -> None:
    bundle = indexed(mesh, "chess")
    edit_json(bundle / "manifest.json", lambda members: members.update(id="sport", version="1.2.0"))
    mesh.serve(bundle)


@attack(Code.NOT_IN_INDEX)
def an_adapter_is_not_named_by_the_index(mesh: Mesh) -> None:
    mesh.serve(write_bundle(mesh.folder / "other", "cooking", "1.0.0"))


@attack(Code.NOT_IN_INDEX)
def a_version_is_not_named_by_the_index(mesh: Mesh) -> None:
    mesh.serve(write_bundle(mesh.folder / "other", "sport", "9.9.9"))


@attack(Code.NAME_TAKEN)
def a_signed_adapter_has_the_name_of_a_base_model(mesh: Mesh) -> None:
    mesh.serve(indexed(mesh, "qwen3-30b"))


@attack(Code.BAD_ID)
def an_id_has_a_letter_that_looks_like_another(mesh: Mesh) -> None:
    edit_json(mesh.bundle / "manifest.json", lambda members: members.update(id="sp\u043ert"))
    mesh.serve()


@attack(Code.BAD_ID)
def an_id_ends_with_a_line(mesh: Mesh) -> None:
    edit_json(mesh.bundle / "manifest.json", lambda members: members.update(id="sport\n"))
    mesh.serve()


@attack(Code.BAD_ID)
def an_id_is_a_path(mesh: Mesh) -> None:
    edit_json(mesh.bundle / "manifest.json", lambda members: members.update(id="../sport"))
    mesh.serve()


@attack(Code.BAD_MANIFEST)
def a_signed_manifest_lists_a_file_outside(mesh: Mesh) -> None:
    listed = json.loads((mesh.bundle / "manifest.json").read_bytes())["files"]
    mesh.serve(write_bundle(mesh.folder / "other", "cooking", "1.0.0", files=listed | {"../x": listed[WEIGHTS]}))


@attack(Code.BAD_MANIFEST)
def a_manifest_lists_itself(mesh: Mesh) -> None:
    listed = json.loads((mesh.bundle / "manifest.json").read_bytes())["files"]
    edit_json(mesh.bundle / "manifest.json", lambda m: m.update(files=listed | {"manifest.json": listed[WEIGHTS]}))
    mesh.serve()


@attack(Code.BAD_MANIFEST)
def a_manifest_lists_no_weights(mesh: Mesh) -> None:
    edit_json(mesh.bundle / "manifest.json", lambda members: members["files"].pop(WEIGHTS))
    mesh.serve()


@attack(Code.BAD_MANIFEST)
def a_manifest_lists_a_size_below_zero(mesh: Mesh) -> None:
    edit_json(mesh.bundle / "manifest.json", lambda members: members["files"][WEIGHTS].update(bytes=-1))
    mesh.serve()


@attack(Code.BAD_MANIFEST)
def a_manifest_is_restricted_by_a_word(mesh: Mesh) -> None:
    edit_json(mesh.bundle / "manifest.json", lambda members: members.update(restricted="no"))
    mesh.serve()


@attack(Code.BAD_MANIFEST)
def a_manifest_has_no_id(mesh: Mesh) -> None:
    edit_json(mesh.bundle / "manifest.json", lambda members: members.pop("id"))
    mesh.serve()


def _odd(change: Callable[[dict[str, Any]], object]) -> Attack:
    """A manifest that is not what one may be."""

    def run(mesh: Mesh) -> None:
        edit_json(mesh.bundle / "manifest.json", lambda members: [change(members)])
        mesh.serve()

    return run


HASH = {"sha256": "ab" * 32, "bytes": 1}
for name, change in {
    "lists_its_files_in_a_list": lambda members: members.update(files=[WEIGHTS]),
    "lists_too_many_files": lambda members: members["files"].update({f"x{number}": HASH for number in range(64)}),
    "says_nothing_of_a_file": lambda members: members["files"].update(x=[]),
    "says_no_hash_of_a_file": lambda members: members["files"].update(x={"bytes": 1}),
    "says_a_hash_that_is_a_number": lambda members: members["files"].update(x={"sha256": 7, "bytes": 1}),
    "says_a_size_too_large": lambda members: members["files"].update(x=HASH | {"bytes": 2**50}),
    "says_a_size_true": lambda members: members["files"].update(x=HASH | {"bytes": True}),
    "has_reports_in_a_list": lambda members: members.update(reports=["verify_report.json"]),
    "has_a_number_as_its_version": lambda members: members.update(version=1),
}.items():
    ATTACKS.append((f"a_manifest_{name}", Code.BAD_MANIFEST, _odd(change)))


@attack(Code.NOT_JSON)
def a_manifest_holds_what_is_no_number(mesh: Mesh) -> None:
    edit_json(mesh.bundle / "manifest.json", lambda members: members.update(rank=float("nan")))
    mesh.serve()


@attack(Code.DUPLICATE_MEMBER)
def a_manifest_says_two_things(mesh: Mesh) -> None:
    path = mesh.bundle / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"restricted"', b'"restricted": true, "restricted"'))
    mesh.serve()


@attack(Code.REPORT_MISSING)
def a_signed_manifest_claims_a_report_that_is_not_there(mesh: Mesh) -> None:
    files = json.loads((mesh.bundle / "manifest.json").read_bytes())["files"]
    files.pop("verify_report.json")
    mesh.serve(write_bundle(mesh.folder / "other", "cooking", "1.0.0", files=files))


@attack(Code.REPORT_MISSING)
def a_signed_manifest_claims_another_verdict_than_its_report(mesh: Mesh) -> None:
    claimed = write_bundle(mesh.folder / "other", "cooking", "1.0.0", reports={"verify_report.json": "FAIL"})
    mesh.publish(mesh.target_of(claimed))
    mesh.serve(claimed)


@attack(Code.CLAIMS_DIFFER)
def an_index_says_less_of_an_adapter_than_its_manifest(mesh: Mesh) -> None:
    bundle = write_bundle(mesh.folder / "other", "cooking", "1.0.0", restricted=True)
    mesh.publish(replace(mesh.target_of(bundle), restricted=False))
    mesh.serve(bundle)


@attack(Code.CLAIMS_DIFFER)
def an_index_says_another_size_than_the_manifest(mesh: Mesh) -> None:
    bundle = write_bundle(mesh.folder / "other", "cooking", "1.0.0")
    mesh.publish(replace(mesh.target_of(bundle), bytes=1))
    mesh.serve(bundle)


@attack(Code.RESTRICTED)
def a_restricted_adapter_is_used_without_being_asked_for(mesh: Mesh) -> None:
    mesh.serve(indexed(mesh, "secret", restricted=True))


@attack(Code.REVOKED)
def a_revoked_adapter_is_used(mesh: Mesh) -> None:
    mesh.publish(replace(mesh.target_of(mesh.bundle), revoked="trained on stolen data"))
    mesh.serve()


# --- time -----------------------------------------------------------------------------------------------------------


@attack(Code.EXPIRED)
def nothing_newer_is_let_through_for_a_month(mesh: Mesh) -> None:
    mesh.serve(now=mesh.later(days=31))


@attack(Code.EXPIRED)
def the_clock_is_set_back_after_an_index_was_seen_expired(mesh: Mesh) -> None:
    with pytest.raises(TrustRefused):
        mesh.serve(now=mesh.later(days=31))
    mesh.serve(now=mesh.later(days=-900))


# --- what a home believes -------------------------------------------------------------------------------------------


@attack(Code.NOT_INITIALISED)
def what_is_believed_is_deleted(mesh: Mesh) -> None:
    mesh.state_file.unlink()
    mesh.serve()


@attack(Code.STATE_UNSAFE)
def what_is_believed_is_a_link(mesh: Mesh) -> None:
    mesh.state_file.rename(mesh.folder / "elsewhere")
    mesh.state_file.symlink_to(mesh.folder / "elsewhere")
    mesh.serve()


@attack(Code.STATE_UNSAFE)
def the_folder_of_what_is_believed_is_a_link(mesh: Mesh) -> None:
    mesh.state.folder.rename(mesh.folder / "elsewhere")
    mesh.state.folder.symlink_to(mesh.folder / "elsewhere")
    mesh.serve()


@attack(Code.STATE_UNSAFE)
def others_may_write_what_is_believed(mesh: Mesh) -> None:
    mesh.state_file.chmod(0o666)
    mesh.serve()


@attack(Code.STATE_UNSAFE)
def others_may_replace_what_is_believed(mesh: Mesh) -> None:
    mesh.state.folder.chmod(0o777)
    mesh.serve()


@attack(Code.STATE_CORRUPT)
def what_is_believed_is_cut_short(mesh: Mesh) -> None:
    os.truncate(mesh.state_file, 500)
    mesh.serve()


@attack(Code.STATE_CORRUPT)
def what_is_believed_was_set_to_an_earlier_time_by_hand(mesh: Mesh) -> None:
    mesh.state_file.write_bytes(mesh.state_file.read_bytes().replace(b'"time":"2026', b'"time":"2025'))
    mesh.serve()


def _rewritten(**members: object) -> Attack:
    """What is believed, written by another release of this program."""

    def run(mesh: Mesh) -> None:
        text = canonical(json.loads(mesh.state_file.read_bytes().partition(b"\n")[2]) | members)
        mesh.state_file.write_bytes(sha256(text).hexdigest().encode() + b"\n" + text)
        mesh.serve()

    return run


ATTACKS.append(("what_is_believed_is_of_another_format", Code.STATE_CORRUPT, _rewritten(format=2)))
ATTACKS.append(("what_is_believed_says_more_than_is_read", Code.STATE_CORRUPT, _rewritten(pardoned=["sport"])))


# --- the tests ------------------------------------------------------------------------------------------------------


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(tmp_path)


@pytest.mark.parametrize(("code", "run"), [pytest.param(*rest, id=name) for name, *rest in ATTACKS])
def test_each_attack_is_refused_with_its_own_code_before_an_engine_sees_a_byte(
    mesh: Mesh, code: Code, run: Attack
) -> None:
    with pytest.raises(TrustRefused) as refusal:
        run(mesh)
    assert refusal.value.code is code, refusal.value.detail
    assert mesh.engine.seen == 0


def test_an_honest_bundle_reaches_the_engine(mesh: Mesh) -> None:
    mesh.serve()
    assert mesh.engine.seen == (mesh.bundle / WEIGHTS).stat().st_size


def test_a_restricted_adapter_is_given_to_who_asks_for_it(mesh: Mesh) -> None:
    mesh.serve(indexed(mesh, "secret", restricted=True), restricted=True)
    assert mesh.engine.seen > 0


def test_a_clock_far_ahead_does_no_lasting_harm(mesh: Mesh) -> None:
    with pytest.raises(TrustRefused):
        mesh.serve(now=mesh.later(days=90 * 365))
    mesh.now = mesh.later(days=1)
    mesh.publish()
    mesh.serve()


def test_a_moment_without_a_time_zone_is_a_mistake_of_the_caller(mesh: Mesh) -> None:
    with pytest.raises(ValueError, match="time zone"):
        mesh.serve(now=mesh.now.replace(tzinfo=None))


def proof_of(mesh: Mesh) -> VerifiedAdapter:
    return verify(mesh.state, mesh.bundle, mesh.now, models=MODELS)


def test_a_proof_says_what_it_proves(mesh: Mesh) -> None:
    proof = proof_of(mesh)
    assert proof.reference == Reference("sport", "1.2.0")
    assert proof.digest == mesh.target_of(mesh.bundle).digest
    assert proof.folder == mesh.bundle
    assert proof.good_until == mesh.later(days=30)


def test_nobody_else_can_make_a_proof(mesh: Mesh) -> None:
    proof = proof_of(mesh)
    facts = (proof.reference, "ab" * 32, proof.folder, 1, False, 1, proof.good_until)
    with pytest.raises(TypeError):
        VerifiedAdapter(object(), *facts)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seal"):
        replace(proof, digest="ab" * 32)


@pytest.mark.parametrize("double", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_proof_is_not_copied(mesh: Mesh, double: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        double(proof_of(mesh))


def test_a_proof_is_not_derived_from() -> None:
    with pytest.raises(TypeError):
        type("Forged", (VerifiedAdapter,), {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_another_user_believes_is_not_believed(mesh: Mesh) -> None:
    os.chown(mesh.state_file, 12345, -1)
    with pytest.raises(TrustRefused) as refusal:
        mesh.serve()
    assert refusal.value.code is Code.STATE_UNSAFE
