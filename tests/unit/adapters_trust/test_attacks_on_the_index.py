"""Whoever hands over an index may hand over anything: each of these is refused by a check of its own."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from concilium.adapters.trust import Code, TrustRefused, author, export_to, import_from, update
from concilium.adapters.trust.documents import VERSION_MAX, key_id
from concilium.adapters.trust.encoding import canonical
from concilium.adapters.trust.keys import make_key
from concilium.adapters.trust.targets import Reference
from support.trust import Mesh, around, forge, version_of, write_bundle

Attack = Callable[[Mesh], None]
CHESS = Reference("chess", "1.0.0")
ATTACKS: list[tuple[str, Code, Attack]] = []


def attack(code: Code) -> Callable[[Attack], Attack]:
    def add(function: Attack) -> Attack:
        ATTACKS.append((function.__name__, code, function))
        return function

    return add


def newer(mesh: Mesh) -> update.Offered:
    """An honest index, one newer than what is held."""
    return mesh.next_index(mesh.target_of(write_bundle(mesh.folder / "other", "cooking", "1.0.0")))


def held(mesh: Mesh) -> update.Offered:
    index = mesh.state.load().index
    assert index is not None
    return index.offered


def with_targets(mesh: Mesh, change: Callable[[dict[str, Any]], None], *signers: CryptoSigner) -> update.Offered:
    """An index with forged targets, by somebody who has the freshness key besides the signers."""
    honest = newer(mesh)
    return around(forge(honest.targets, change, *signers), honest.snapshot, honest.timestamp, mesh.freshness)


def with_timestamp(mesh: Mesh, change: Callable[[dict[str, Any]], None], *signers: CryptoSigner) -> update.Offered:
    honest = newer(mesh)
    return replace(honest, timestamp=forge(honest.timestamp, change, *signers))


def with_bytes(mesh: Mesh, change: Callable[[bytes], bytes]) -> None:
    """An honest index whose timestamp's bytes were changed."""
    honest = newer(mesh)
    folder = mesh.parcel(honest)
    (folder / "timestamp.json").write_bytes(change(honest.timestamp))
    import_from(mesh.state, folder, mesh.now)


def entry(signed: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = signed["targets"]["adapters/sport/1.2.0/manifest.json"]
    return found


def renamed(path: str) -> Callable[[dict[str, Any]], None]:
    """Say the adapter's entry under another path, beside the old one."""
    return lambda signed: signed["targets"].update({path: entry(signed)})


# --- signatures -----------------------------------------------------------------------------------------------------


@attack(Code.NOT_ENOUGH_SIGNATURES)
def a_timestamp_is_tampered_with(mesh: Mesh) -> None:
    mesh.deliver(with_timestamp(mesh, lambda signed: signed.update(version=99)))


@attack(Code.NOT_ENOUGH_SIGNATURES)
def an_index_is_signed_by_a_stranger(mesh: Mesh) -> None:
    mesh.deliver(with_targets(mesh, lambda signed: None, make_key()))


@attack(Code.NOT_ENOUGH_SIGNATURES)
def a_stranger_signs_under_the_id_of_the_index_key(mesh: Mesh) -> None:
    stranger = make_key()
    stranger.public_key.keyid = mesh.index.public_key.keyid
    mesh.deliver(with_targets(mesh, lambda signed: None, stranger))


@attack(Code.NOT_ENOUGH_SIGNATURES)
def the_index_is_signed_by_the_freshness_key(mesh: Mesh) -> None:
    mesh.deliver(with_targets(mesh, lambda signed: None, mesh.freshness))


@attack(Code.NOT_ENOUGH_SIGNATURES)
def a_timestamp_is_signed_by_the_index_key(mesh: Mesh) -> None:
    mesh.deliver(with_timestamp(mesh, lambda signed: None, mesh.index))


@attack(Code.NOT_ENOUGH_SIGNATURES)
def a_timestamp_has_no_signature(mesh: Mesh) -> None:
    honest = newer(mesh)
    bare = json.loads(honest.timestamp) | {"signatures": []}
    mesh.deliver(replace(honest, timestamp=canonical(bare)))


@attack(Code.NOT_ENOUGH_SIGNATURES)
def a_signature_of_the_same_bytes_in_another_context_is_used(mesh: Mesh) -> None:
    honest = newer(mesh)
    members = json.loads(honest.timestamp)
    payload = honest.timestamp[len(b'{"signatures":') :]
    envelope = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    members["signatures"] = [mesh.freshness.sign(envelope).to_dict()]
    mesh.deliver(replace(honest, timestamp=canonical(members)))


@attack(Code.NOT_ENOUGH_SIGNATURES)
def a_revoked_index_key_signs(mesh: Mesh) -> None:
    stolen = mesh.index
    root = mesh.rotated("index")
    mesh.index = stolen
    mesh.deliver(newer(mesh), root)


@attack(Code.NOT_ENOUGH_SIGNATURES)
def a_revoked_freshness_key_signs(mesh: Mesh) -> None:
    stolen = mesh.freshness
    root = mesh.rotated("freshness")
    mesh.freshness = stolen
    mesh.deliver(newer(mesh), root)


@attack(Code.DUPLICATE_SIGNATURE)
def one_root_key_signs_twice_for_a_threshold_of_two(mesh: Mesh) -> None:
    root = json.loads(author.signed(mesh.next_root("index", [], [make_key()]), mesh.roots[:1]))
    root["signatures"] *= 2
    mesh.deliver(newer(mesh), canonical(root))


@attack(Code.NOT_ENOUGH_SIGNATURES)
def one_root_key_signs_where_two_have_to(mesh: Mesh) -> None:
    mesh.deliver(newer(mesh), author.signed(mesh.next_root("index", [], [make_key()]), mesh.roots[:1]))


@attack(Code.NOT_ENOUGH_SIGNATURES)
def a_root_is_signed_by_its_own_new_keys_alone(mesh: Mesh) -> None:
    mine, old = [make_key() for _ in range(3)], [key.public_key.keyid for key in mesh.roots]
    mesh.deliver(newer(mesh), author.signed(mesh.next_root("root", old, mine), mine))


@attack(Code.NOT_ENOUGH_SIGNATURES)
def a_root_is_signed_by_the_old_keys_alone(mesh: Mesh) -> None:
    mine, old = [make_key() for _ in range(3)], [key.public_key.keyid for key in mesh.roots]
    mesh.deliver(newer(mesh), author.signed(mesh.next_root("root", old, mine), mesh.roots))


@attack(Code.STRAY_SIGNATURE)
def a_stranger_signs_besides(mesh: Mesh) -> None:
    mesh.deliver(with_targets(mesh, lambda signed: None, mesh.index, make_key()))


@attack(Code.STRAY_SIGNATURE)
def one_of_three_root_signatures_is_bad(mesh: Mesh) -> None:
    root = json.loads(mesh.rotated("index"))
    root["signatures"][0]["sig"] = "00" * 64
    mesh.deliver(newer(mesh), canonical(root))


# --- versions and time ----------------------------------------------------------------------------------------------


@attack(Code.ROLLBACK)
def an_old_index_is_replayed(mesh: Mesh) -> None:
    old = held(mesh)
    mesh.publish(mesh.target_of(write_bundle(mesh.folder / "other", "cooking", "1.0.0")))
    mesh.deliver(old)


@attack(Code.ROLLBACK)
def an_old_index_is_replayed_with_the_fingerprint_as_if_for_the_first_time(mesh: Mesh) -> None:
    old, root = held(mesh), mesh.state.load().root
    mesh.publish(mesh.target_of(write_bundle(mesh.folder / "other", "cooking", "1.0.0")))
    mesh.deliver(old, fingerprint=update.fingerprint(root.raw))


@attack(Code.ROLLBACK)
def old_targets_are_put_under_a_new_snapshot(mesh: Mesh) -> None:
    old = held(mesh)
    mesh.publish(mesh.target_of(write_bundle(mesh.folder / "more", "chess", "1.0.0")))
    honest = newer(mesh)
    mesh.deliver(around(old.targets, honest.snapshot, honest.timestamp, mesh.freshness))


@attack(Code.ROLLBACK)
def versions_that_were_driven_up_keep_an_honest_index_out(mesh: Mesh) -> None:
    honest = newer(mesh)
    ahead = forge(honest.timestamp, lambda signed: signed.update(version=VERSION_MAX), mesh.freshness)
    mesh.deliver(replace(honest, timestamp=ahead))
    mesh.deliver(honest)


@attack(Code.EQUIVOCATION)
def two_timestamps_have_one_version(mesh: Mesh) -> None:
    now = held(mesh)
    other = forge(now.timestamp, lambda signed: signed.update(expires="2026-03-20T00:00:00Z"), mesh.freshness)
    mesh.deliver(replace(now, timestamp=other))


@attack(Code.EQUIVOCATION)
def two_roots_have_one_version(mesh: Mesh) -> None:
    def other(signed: dict[str, Any]) -> None:
        signed["expires"] = "2030-01-01T00:00:00Z"

    mesh.deliver(newer(mesh), forge(mesh.state.load().root.raw, other, *mesh.roots))


@attack(Code.ROOT_GAP)
def a_root_version_is_left_out(mesh: Mesh) -> None:
    root = mesh.next_root("index", [], [make_key()])
    root.signed.version = 3
    mesh.deliver(newer(mesh), author.signed(root, mesh.roots))


@attack(Code.EXPIRED)
def an_expired_index_is_handed_over(mesh: Mesh) -> None:
    honest = newer(mesh)
    mesh.now = mesh.later(days=31)
    mesh.deliver(honest)


@attack(Code.EXPIRED)
def an_expired_index_is_handed_over_again_with_the_clock_set_back(mesh: Mesh) -> None:
    honest, then = newer(mesh), mesh.now
    mesh.now = mesh.later(days=31)
    with pytest.raises(TrustRefused):
        mesh.deliver(honest)
    mesh.now = then
    mesh.deliver(honest)


@attack(Code.EXPIRED)
def the_root_has_expired_under_a_fresh_index(mesh: Mesh) -> None:
    mesh.now = mesh.later(days=3 * 365)
    mesh.deliver(newer(mesh))


def _bad_version(version: object) -> Attack:
    return lambda mesh: mesh.deliver(
        with_timestamp(mesh, lambda signed: signed.update(version=version), mesh.freshness)
    )


for name, version in {
    "zero": 0,
    "negative": -1,
    "huge": 2**31,
    "true": True,
    "a text": "7",
    "nothing": None,
}.items():
    ATTACKS.append((f"a_version_is_{name.replace(' ', '_')}", Code.BAD_VERSION, _bad_version(version)))


@attack(Code.BAD_VERSION)
def a_snapshot_names_targets_of_version_true(mesh: Mesh) -> None:
    honest = newer(mesh)
    snapshot = forge(
        honest.snapshot, lambda signed: signed["meta"]["targets.json"].update(version=True), mesh.freshness
    )

    def point(signed: dict[str, Any]) -> None:
        signed["meta"]["snapshot.json"].update(length=len(snapshot), hashes={"sha256": sha256(snapshot).hexdigest()})

    mesh.deliver(replace(honest, snapshot=snapshot, timestamp=forge(honest.timestamp, point, mesh.freshness)))


# --- files that do not belong together ------------------------------------------------------------------------------


@attack(Code.MIX_AND_MATCH)
def targets_are_tampered_with(mesh: Mesh) -> None:
    honest = newer(mesh)
    mesh.deliver(replace(honest, targets=forge(honest.targets, lambda signed: entry(signed).update(length=7))))


@attack(Code.MIX_AND_MATCH)
def the_snapshot_of_another_index_lies_under_the_timestamp(mesh: Mesh) -> None:
    honest = newer(mesh)
    other = forge(honest.snapshot, lambda signed: signed.update(expires="2026-03-20T00:00:00Z"), mesh.freshness)
    mesh.deliver(replace(honest, snapshot=other))


@attack(Code.MIX_AND_MATCH)
def a_snapshot_has_another_version_than_the_timestamp_says(mesh: Mesh) -> None:
    honest = newer(mesh)
    ahead = forge(honest.timestamp, lambda signed: signed["meta"]["snapshot.json"].update(version=9), mesh.freshness)
    mesh.deliver(replace(honest, timestamp=ahead))


@attack(Code.WRONG_ROLE)
def a_snapshot_is_given_for_a_timestamp_that_the_same_key_signs(mesh: Mesh) -> None:
    honest = newer(mesh)
    folder = mesh.parcel(honest)
    (folder / "timestamp.json").write_bytes(honest.snapshot)
    import_from(mesh.state, folder, mesh.now)


@attack(Code.MISSING_ROLE)
def the_targets_are_held_back(mesh: Mesh) -> None:
    honest = newer(mesh)
    folder = mesh.parcel(honest)
    (folder / f"{version_of(honest.targets)}.targets.json").unlink()
    import_from(mesh.state, folder, mesh.now)


@attack(Code.FOREIGN_INDEX)
def an_index_of_another_mesh_with_the_same_keys_is_handed_over(mesh: Mesh) -> None:
    other = Mesh(mesh.folder / "elsewhere", roots=mesh.roots, index=mesh.index, freshness=mesh.freshness)
    mesh.deliver(newer(other))


@attack(Code.FOREIGN_INDEX)
def a_root_of_another_index_with_the_same_keys_follows(mesh: Mesh) -> None:
    other = Mesh(mesh.folder / "elsewhere", roots=mesh.roots, index=mesh.index, freshness=mesh.freshness)
    mesh.deliver(newer(mesh), other.rotated("index"))


@attack(Code.UNKNOWN_ROOT)
def a_new_home_gets_another_root_than_it_was_told_of(mesh: Mesh) -> None:
    other = Mesh(mesh.folder / "elsewhere")
    parcel = mesh.parcel(newer(mesh))
    mesh.state_file.unlink()
    import_from(mesh.state, parcel, mesh.now, update.fingerprint(other.state.load().root.raw))


@attack(Code.UNKNOWN_ROOT)
def a_fingerprint_is_given_that_this_home_never_trusted(mesh: Mesh) -> None:
    mesh.deliver(newer(mesh), fingerprint="ab" * 32)


# --- bytes ----------------------------------------------------------------------------------------------------------


@attack(Code.NOT_JSON)
def a_file_is_cut_short(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: raw[:-20])


@attack(Code.NOT_JSON)
def a_file_is_empty(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: b"")


@attack(Code.NOT_JSON)
def a_file_is_a_list(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: b"[" + raw + b"]")


@attack(Code.NOT_JSON)
def a_file_is_nested_without_end(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: b'{"signed":' + b"[" * 8000)


@attack(Code.NOT_JSON)
def a_file_starts_with_a_byte_order_mark(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: b"\xef\xbb\xbf" + raw)


@attack(Code.NOT_JSON)
def a_number_is_beyond_all_range(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: raw.replace(b'"version":', b'"version":' + b"9" * 20, 1))


@attack(Code.DUPLICATE_MEMBER)
def a_member_stands_twice(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: raw.replace(b'"_type":"timestamp"', b'"_type":"timestamp","_type":"timestamp"'))


@attack(Code.NOT_CANONICAL)
def a_space_is_put_in(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: raw + b"\n")


@attack(Code.NOT_CANONICAL)
def a_letter_is_spelled_as_an_escape(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: raw.replace(b"timestamp", b"\\u0074imestamp", 1))


@attack(Code.NOT_CANONICAL)
def a_version_is_a_fraction(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: raw.replace(b'"version":3', b'"version":3.0'))


@attack(Code.NOT_CANONICAL)
def a_text_holds_half_a_surrogate_pair(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: raw.replace(b"timestamp", b"\\ud800", 1))


@attack(Code.TOO_LARGE)
def a_file_has_no_end(mesh: Mesh) -> None:
    folder = mesh.parcel(newer(mesh))
    os.truncate(folder / "timestamp.json", 2**40)
    import_from(mesh.state, folder, mesh.now)


@attack(Code.TOO_LARGE)
def a_file_that_is_in_memory_already_is_too_large(mesh: Mesh) -> None:
    honest = newer(mesh)
    update.assemble(mesh.state.load().root, replace(honest, timestamp=honest.timestamp.ljust(2**20)))


@attack(Code.UNSAFE_FILE)
def a_file_leads_to_a_device(mesh: Mesh) -> None:
    folder = mesh.parcel(newer(mesh))
    (folder / "timestamp.json").unlink()
    (folder / "timestamp.json").symlink_to("/dev/zero")
    import_from(mesh.state, folder, mesh.now)


@attack(Code.UNSAFE_FILE)
def a_file_is_a_pipe_that_nobody_writes_to(mesh: Mesh) -> None:
    folder = mesh.parcel(newer(mesh))
    (folder / "timestamp.json").unlink()
    os.mkfifo(folder / "timestamp.json")
    import_from(mesh.state, folder, mesh.now)


@attack(Code.TOO_LARGE)
def there_are_roots_without_end(mesh: Mesh) -> None:
    folder = mesh.parcel(newer(mesh))
    for version in range(2, 1100):
        (folder / f"{version}.root.json").touch()
    import_from(mesh.state, folder, mesh.now)


# --- what the files say, by whoever has the keys for it -------------------------------------------------------------


def _malformed(change: Callable[[dict[str, Any]], object]) -> Attack:
    return lambda mesh: mesh.deliver(with_timestamp(mesh, lambda signed: [change(signed)], mesh.freshness))


for name, change in {
    "an_unknown_member_is_added": lambda signed: signed.update(admin=True),
    "the_name_of_the_index_is_left_out": lambda signed: signed.pop("concilium-index"),
    "the_name_of_the_index_is_none_of_ours": lambda signed: signed.update({"concilium-index": "x" * 99}),
    "the_name_of_the_index_is_a_list": lambda signed: signed.update({"concilium-index": ["idx"]}),
    "another_specification_is_claimed": lambda signed: signed.update(spec_version="2.0.0"),
    "a_later_specification_is_claimed": lambda signed: signed.update(spec_version="1.1.0"),
    "a_time_is_written_loosely": lambda signed: signed.update(expires="2026-3-9T1:0:0Z"),
    "a_time_has_no_zone": lambda signed: signed.update(expires="2026-03-09T01:00:00"),
    "a_time_is_a_number": lambda signed: signed.update(expires=9999999999),
    "another_file_is_named_besides": lambda signed: signed["meta"].update({"x.json": {"version": 1}}),
    "a_snapshot_is_named_without_a_hash": lambda signed: signed["meta"]["snapshot.json"].pop("hashes"),
    "a_snapshot_is_named_without_a_length": lambda signed: signed["meta"]["snapshot.json"].pop("length"),
    "a_snapshot_is_named_with_more_members": lambda signed: signed["meta"]["snapshot.json"].update(url="x"),
    "a_weak_hash_is_used": lambda signed: signed["meta"]["snapshot.json"].update(hashes={"md5": "ab" * 16}),
}.items():
    ATTACKS.append((name, Code.MALFORMED, _malformed(change)))


@attack(Code.MALFORMED)
def a_member_is_added_beside_what_is_signed(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: raw[:-1] + b',"unsigned":1}')


@attack(Code.MALFORMED)
def a_hash_is_written_in_other_letters(mesh: Mesh) -> None:
    def change(signed: dict[str, Any]) -> None:
        hashes = signed["meta"]["snapshot.json"]["hashes"]
        hashes["sha256"] = hashes["sha256"].upper()

    mesh.deliver(with_timestamp(mesh, change, mesh.freshness))


@attack(Code.MALFORMED)
def a_snapshot_names_more_than_the_targets(mesh: Mesh) -> None:
    honest = newer(mesh)
    meta = {"version": 1, "length": 1, "hashes": {"sha256": "ab" * 32}}
    snapshot = forge(honest.snapshot, lambda signed: signed["meta"].update({"x.json": meta}), mesh.freshness)
    mesh.deliver(around(honest.targets, snapshot, honest.timestamp, mesh.freshness))


def _envelope(**members: object) -> Attack:
    """Another envelope around what is signed."""
    return lambda mesh: with_bytes(mesh, lambda raw: canonical(json.loads(raw) | members))


for name, members in {
    "what_is_signed_is_a_list": {"signed": []},
    "signatures_are_texts": {"signatures": ["keyid", "sig"]},
    "signatures_are_a_number": {"signatures": 7},
    "signatures_are_numbers": {"signatures": [7]},
    "signatures_are_an_object": {"signatures": {}},
    "a_signature_is_a_number": {"signatures": [{"keyid": "ab" * 32, "sig": 7}]},
    "a_signature_is_of_a_number": {"signatures": [{"keyid": 7, "sig": "ab" * 64}]},
    "a_signature_is_of_no_key": {"signatures": [{"keyid": "me", "sig": "ab" * 64}]},
    "a_signature_has_more_members": {"signatures": [{"keyid": "ab" * 32, "sig": "ab" * 64, "by": "me"}]},
}.items():
    ATTACKS.append((name, Code.MALFORMED, _envelope(**members)))


@attack(Code.MALFORMED)
def a_signature_is_not_one(mesh: Mesh) -> None:
    with_bytes(mesh, lambda raw: raw.replace(b'"sig":"', b'"sig":"00', 1))


@attack(Code.MALFORMED)
def the_index_delegates_to_somebody(mesh: Mesh) -> None:
    more = {"keys": {}, "roles": []}
    mesh.deliver(with_targets(mesh, lambda signed: signed.update(delegations=more), mesh.index))


def _root(change: Callable[[dict[str, Any]], object]) -> Attack:
    """A root that all root keys sign, and that is not what a root may be."""

    def run(mesh: Mesh) -> None:
        good = author.signed(mesh.next_root("index", [], [make_key()]), mesh.roots)
        mesh.deliver(newer(mesh), forge(good, lambda signed: [change(signed)], *mesh.roots))

    return run


def _first_key(signed: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    key_id = signed["roles"]["root"]["keyids"][0]
    return key_id, signed["keys"][key_id]


def _private_part(signed: dict[str, Any]) -> None:
    _first_key(signed)[1]["keyval"]["private"] = ""


def _same_key_under_another_id(signed: dict[str, Any]) -> None:
    signed["keys"]["ab" * 32] = dict(_first_key(signed)[1])
    signed["roles"]["root"]["keyids"].append("ab" * 32)


def _same_key_in_other_letters(signed: dict[str, Any]) -> None:
    _, key = _first_key(signed)
    again = key | {"keyval": {"public": key["keyval"]["public"].upper()}}
    other = key_id(again["keyval"]["public"])
    signed["keys"][other] = again
    signed["roles"]["root"]["keyids"].append(other)


def _another_key_under_a_known_id(signed: dict[str, Any]) -> None:
    _first_key(signed)[1]["keyval"]["public"] = make_key().public_key.keyval["public"]


def _another_type(signed: dict[str, Any]) -> None:
    _first_key(signed)[1].update(keytype="rsa", scheme="rsassa-pss-sha256")


def _root_keys(*chosen: int) -> Callable[[dict[str, Any]], None]:
    """Let the root's role name these of its keys."""

    def change(signed: dict[str, Any]) -> None:
        ids = signed["roles"]["root"]["keyids"]
        signed["roles"]["root"]["keyids"] = [ids[each] for each in chosen]

    return change


def _root_key_serves_timestamps(signed: dict[str, Any]) -> None:
    signed["roles"]["timestamp"]["keyids"].append(_first_key(signed)[0])


for name, code, change in [
    ("one_key_has_two_ids", Code.KEY_ID_MISMATCH, _same_key_under_another_id),
    ("one_key_has_two_spellings", Code.UNKNOWN_KEY_TYPE, _same_key_in_other_letters),
    ("two_keys_have_one_id", Code.KEY_ID_MISMATCH, _another_key_under_a_known_id),
    ("a_key_is_of_another_type", Code.UNKNOWN_KEY_TYPE, _another_type),
    ("a_key_has_more_members", Code.UNKNOWN_KEY_TYPE, lambda s: _first_key(s)[1].update(owner="me")),
    ("a_key_has_a_private_part", Code.UNKNOWN_KEY_TYPE, _private_part),
    ("a_root_key_serves_another_role", Code.ROLE_KEYS_SHARED, _root_key_serves_timestamps),
    ("a_threshold_is_zero", Code.MALFORMED, lambda s: s["roles"]["targets"].update(threshold=0)),
    ("a_threshold_is_true", Code.UNREACHABLE_THRESHOLD, lambda s: s["roles"]["targets"].update(threshold=True)),
    ("a_threshold_cannot_be_met", Code.UNREACHABLE_THRESHOLD, lambda s: s["roles"]["targets"].update(threshold=9)),
    ("a_role_names_a_key_twice", Code.MALFORMED, _root_keys(0, 0, 1, 2)),
    ("a_role_names_a_key_that_is_not_there", Code.MALFORMED, lambda s: s["roles"]["root"]["keyids"].append("cd" * 32)),
    ("a_key_of_no_role_is_carried_along", Code.MALFORMED, _root_keys(0, 1)),
    ("a_role_has_more_members", Code.MALFORMED, lambda s: s["roles"]["targets"].update(weight=2)),
    ("a_role_is_added", Code.MALFORMED, lambda s: s["roles"].update(mirrors=s["roles"]["targets"])),
    ("a_role_is_left_out", Code.MALFORMED, lambda s: s["roles"].pop("snapshot")),
    ("files_are_not_named_by_version", Code.MALFORMED, lambda s: s.update(consistent_snapshot=False)),
]:  # fmt: skip
    ATTACKS.append((f"in_a_root_{name}", code, _root(change)))


def _targets(change: Callable[[dict[str, Any]], object]) -> Attack:
    """Targets that the index key signs: it was stolen, or its owner tricked."""
    return lambda mesh: mesh.deliver(with_targets(mesh, lambda signed: [change(signed)], mesh.index))


for name, code, change in [
    ("a_base_model_is_named_as_an_adapter", Code.NOT_AN_ADAPTER, renamed("models/sport/1.2.0/manifest.json")),
    ("a_path_leads_deeper", Code.NOT_AN_ADAPTER, renamed("adapters/sport/1.2.0/manifest.json/x")),
    ("a_path_ends_early", Code.NOT_AN_ADAPTER, renamed("adapters/sport")),
    ("a_path_names_the_weights", Code.NOT_AN_ADAPTER, renamed("adapters/sport/1.2.0/adapter_model.safetensors")),
    ("a_path_leads_outside", Code.BAD_ID, renamed("adapters/../1.2.0/manifest.json")),
    ("an_id_has_a_cyrillic_letter", Code.BAD_ID, renamed("adapters/sp\u043ert/1.2.0/manifest.json")),
    ("an_id_has_a_wide_letter", Code.BAD_ID, renamed("adapters/\uff53port/1.2.0/manifest.json")),
    ("an_id_ends_with_a_line", Code.BAD_ID, renamed("adapters/sport\u2028/1.2.0/manifest.json")),
    ("a_version_has_foreign_digits", Code.BAD_ID, renamed("adapters/sport/1.2.\u0663/manifest.json")),
    ("a_version_has_a_leading_zero", Code.BAD_ID, renamed("adapters/sport/01.2.0/manifest.json")),
    ("an_adapter_is_dropped", Code.VERSION_REUSED, lambda s: s["targets"].pop("adapters/sport/1.2.0/manifest.json")),
    ("a_version_gets_other_bytes", Code.VERSION_REUSED, lambda s: entry(s).update(hashes={"sha256": "ab" * 32})),
    ("a_restriction_is_lifted", Code.VERSION_REUSED, lambda s: entry(s)["custom"].update(restricted=True)),
    ("an_entry_has_more_members", Code.BAD_TARGET, lambda s: entry(s).update(trusted=True)),
    ("an_entry_has_a_weak_hash", Code.BAD_TARGET, lambda s: entry(s).update(hashes={"md5": "ab" * 16})),
    ("an_entry_has_a_second_hash", Code.BAD_TARGET, lambda s: entry(s)["hashes"].update(md5="ab" * 16)),
    ("an_entry_has_an_empty_manifest", Code.BAD_TARGET, lambda s: entry(s).update(length=0)),
    ("an_entry_has_a_huge_manifest", Code.BAD_TARGET, lambda s: entry(s).update(length=2**30)),
    ("an_entry_has_a_manifest_of_true_bytes", Code.BAD_TARGET, lambda s: entry(s).update(length=True)),
    ("an_entry_has_a_short_hash", Code.BAD_TARGET, lambda s: entry(s).update(hashes={"sha256": "ab"})),
    ("an_entry_says_nothing_of_its_own", Code.BAD_TARGET, lambda s: entry(s).pop("custom")),
    ("an_entry_is_of_no_bytes", Code.BAD_TARGET, lambda s: entry(s)["custom"].update(bytes=0)),
    ("an_entry_is_too_large", Code.BAD_TARGET, lambda s: entry(s)["custom"].update(bytes=2**50)),
    ("an_entry_is_restricted_by_a_number", Code.BAD_TARGET, lambda s: entry(s)["custom"].update(restricted=0)),
    ("a_reason_has_no_end", Code.BAD_TARGET, lambda s: entry(s)["custom"].update(revoked="x" * 201)),
    ("a_reason_would_move_the_cursor", Code.BAD_TARGET, lambda s: entry(s)["custom"].update(revoked="\u202ex")),
]:  # fmt: skip
    ATTACKS.append((f"in_the_index_{name}", code, _targets(change)))


@attack(Code.VERSION_REUSED)
def a_revoked_adapter_is_taken_back_into_use(mesh: Mesh) -> None:
    bad = replace(mesh.target_of(mesh.bundle), revoked="stolen data")
    mesh.publish(bad)
    mesh.deliver(mesh.next_index(replace(bad, revoked="")))


# --- the tests ------------------------------------------------------------------------------------------------------


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(tmp_path)


@pytest.mark.parametrize(("code", "run"), [pytest.param(*rest, id=name) for name, *rest in ATTACKS])
def test_each_attack_is_refused_with_its_own_code_and_nothing_of_it_is_believed(
    mesh: Mesh, code: Code, run: Attack
) -> None:
    with pytest.raises(TrustRefused) as refusal:
        run(mesh)
    assert refusal.value.code is code, refusal.value.detail
    index = mesh.state.load().index if mesh.state.exists else None
    if index is not None:  # a new home believes nothing yet, and a home whose keys changed waits for a new index
        sport = index.entries[Reference("sport", "1.2.0")]
        assert replace(sport, revoked="") == mesh.target_of(mesh.bundle)
        assert set(index.entries) - {Reference("sport", "1.2.0")} <= {Reference("cooking", "1.0.0"), CHESS}


def test_an_honest_index_is_believed(mesh: Mesh) -> None:
    mesh.deliver(newer(mesh))
    index = mesh.state.load().index
    assert index is not None
    assert Reference("cooking", "1.0.0") in index.entries


def test_versions_that_were_driven_up_are_forgotten_when_the_key_is_replaced(mesh: Mesh) -> None:
    honest = newer(mesh)
    before = mesh.state.load()
    ahead = forge(honest.timestamp, lambda signed: signed.update(version=VERSION_MAX), mesh.freshness)
    mesh.deliver(replace(honest, timestamp=ahead))
    root = mesh.rotated("freshness")
    trusted = update.follow(before, [root])
    assert before.index is not None
    recovered = author.publish(trusted, before.index, before.index.entries.values(), mesh.signers, mesh.now)
    mesh.deliver(recovered, root)
    assert held(mesh) == recovered


def test_a_root_is_kept_even_when_the_index_beside_it_is_refused(mesh: Mesh) -> None:
    stolen, root = mesh.index, mesh.rotated("index")
    mesh.index = stolen
    with pytest.raises(TrustRefused):
        mesh.deliver(newer(mesh), root)
    assert mesh.state.load().root.raw == root
    with pytest.raises(TrustRefused) as refusal:
        mesh.serve()
    assert refusal.value.code is Code.NO_INDEX
    with pytest.raises(TrustRefused) as refusal:
        export_to(mesh.state, mesh.folder / "export")
    assert refusal.value.code is Code.NO_INDEX


def test_the_same_index_may_be_handed_over_again(mesh: Mesh) -> None:
    before = mesh.state.load()
    mesh.deliver(held(mesh))
    assert mesh.state.load() == before


def test_an_index_goes_on_after_an_adapter_was_revoked(mesh: Mesh) -> None:
    mesh.publish(replace(mesh.target_of(mesh.bundle), revoked="stolen data"))
    mesh.deliver(newer(mesh))
    index = mesh.state.load().index
    assert index is not None
    assert index.entries[Reference("sport", "1.2.0")].revoked == "stolen data"
