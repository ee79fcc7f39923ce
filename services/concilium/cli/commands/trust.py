"""``trust``: which adapters engines may be given, and who says so."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from concilium.cli.errors import FAILED, USAGE, CliError
from concilium.cli.output import line, note, print_json, table
from concilium.cli.session import AsJson, session
from concilium.contracts.base import JSON, utc_now
from concilium.home import Home
from concilium.keyring import write_private

# The library of TUF takes a moment to import that no other command should wait for.
if TYPE_CHECKING:
    from concilium.adapters.trust import KeyFolder, Owner, Release, Target, Trusted, TrustState

app = typer.Typer(
    help="Sign adapters, carry the signed index to other homes, replace and revoke keys.", no_args_is_help=True
)

PassphraseFile = Annotated[
    Path | None, typer.Option(help="File with the passphrase of the keys at home; absent: you are asked.")
]
StickPassphraseFile = Annotated[
    Path | None, typer.Option(help="File with the passphrase of the root keys; absent: you are asked.")
]
Stick = Annotated[list[Path] | None, typer.Option(help="Folder with a root key, e.g. a mounted stick; repeatable.")]


@app.command()
def init(
    context: typer.Context,
    *,
    stick: Annotated[list[Path], typer.Option(help="Folder that gets one root key; repeatable: one stick each.")],
    threshold: Annotated[
        int | None, typer.Option(min=1, help="How many root keys have to sign; absent: more than half.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    stick_passphrase_file: StickPassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the keys and an empty index, and trust it; refuses where there is one."""
    owner = _owner(context, passphrase_file, new=True)
    sticks = _sticks(stick, stick_passphrase_file, new=True)
    trusted = owner.found(sticks, threshold or len(stick) // 2 + 1)
    if not as_json:
        note(f"Root keys are on {', '.join(map(str, stick))}: take them away and keep them apart.")
    _print(trusted, as_json)


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what is trusted here and until when; ends with 1 when no index is good now."""
    if not _print(_state(session(context).home).load(), as_json):
        raise typer.Exit(FAILED)


@app.command()
def sign(
    context: typer.Context,
    bundle: Annotated[list[Path], typer.Argument(help="Folders of adapters.")],
    *,
    release_signature: Annotated[
        Path | None, typer.Option(help="How somebody else signed it: a file of `model_signing sign key` (OpenSSF).")
    ] = None,
    release_key: Annotated[Path | None, typer.Option(help="The public key that has to be by, in PEM.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Take adapters into the index, every byte of them as it is now."""
    release = _release(bundle, release_signature, release_key)
    owner = _owner(context, passphrase_file)
    _print_targets(owner.sign(bundle, session(context).home.base_models, release), as_json)


def _release(bundles: list[Path], signature: Path | None, key: Path | None) -> "Release | None":
    from concilium.adapters.trust import Release  # noqa: PLC0415

    if not signature and not key:
        return None
    if not signature or not key or len(bundles) != 1:
        raise CliError("a release is one adapter, its --release-signature and its --release-key", code=USAGE)
    return Release.read(signature, key)


@app.command()
def refresh(context: typer.Context, *, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Sign the index anew with the freshness key, good for 30 days from now."""
    owner = _owner(context, passphrase_file)
    _print(owner.refresh(), as_json)


@app.command()
def revoke(
    context: typer.Context,
    adapter: Annotated[str, typer.Argument(metavar="ID@VERSION")],
    *,
    why: Annotated[str, typer.Option(help="One line; everybody who holds the index can read it.")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Take one version of an adapter out of use for good. For keys: `rotate`."""
    from concilium.adapters.trust import Reference  # noqa: PLC0415

    _print_targets((_owner(context, passphrase_file).revoke(Reference.parse(adapter), why),), as_json)


@app.command()
def rotate(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="root|index|freshness")],
    *,
    stick: Stick = None,
    drop: Annotated[list[str] | None, typer.Option(help="Id of a root key that no longer signs; repeatable.")] = None,
    new_stick: Annotated[list[Path] | None, typer.Option(help="Folder that gets a new root key; repeatable.")] = None,
    passphrase_file: PassphraseFile = None,
    stick_passphrase_file: StickPassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Replace keys: all of the index or freshness kind, or root keys by name. The old ones are revoked by it.

    Where too few sticks are given, or none, a draft is left: carry it to them, `cosign` it there, and `adopt` it here.
    """
    from concilium.adapters.trust import Kind  # noqa: PLC0415

    if kind not in set(Kind):
        raise CliError(f"no kind of keys is called {kind}", "kinds: root, index, freshness", code=USAGE)
    owner = _owner(context, passphrase_file)
    draft, given = owner.state.folder / "root.draft.json", stick or []
    sticks = _sticks([*given, *(new_stick or ())], stick_passphrase_file)
    raw = owner.draft(Kind(kind), drop or (), sticks[len(given) :])
    _cosign(owner.state, raw, sticks[: len(given)], draft)
    _adopt(owner, draft, as_json)


@app.command()
def cosign(
    context: typer.Context,
    draft: Annotated[Path, typer.Argument(help="From `rotate`.")],
    *,
    stick: Stick = None,
    stick_passphrase_file: StickPassphraseFile = None,
) -> None:
    """Show what a draft changes, and add the signatures of root keys to it, in place; any machine will do."""
    from concilium.adapters.trust import read_draft  # noqa: PLC0415

    raw = read_draft(draft)
    _cosign(_state(session(context).home), raw, _sticks(stick or [], stick_passphrase_file), draft)
    line(f"{draft}; at home: `concilium trust adopt {draft.name}`")


@app.command()
def adopt(
    context: typer.Context,
    draft: Annotated[Path, typer.Argument(help="From `rotate`, cosigned.")],
    *,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Trust a root that enough keys have signed, and sign the index with the keys that it names."""
    _adopt(_owner(context, passphrase_file), draft, as_json)


@app.command("export")
def export_index(
    context: typer.Context, folder: Annotated[Path, typer.Argument(help="Where to write.")], as_json: AsJson = False
) -> None:
    """Write the signed index as files to be carried over; they hold no secret."""
    from concilium.adapters.trust import export_to  # noqa: PLC0415

    files = export_to(_state(session(context).home), folder)
    if as_json:
        print_json({"files": [str(file) for file in files]})
    else:
        line(f"{len(files)} files in {folder}")


@app.command("import")
def import_index(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="From `export`.")],
    *,
    fingerprint: Annotated[str, typer.Option(help="Of the root, from `status` at home; needed the first time.")] = "",
    as_json: AsJson = False,
) -> None:
    """Trust the index in a folder, if it is signed by whom this home trusts and is not older than what it knows."""
    from concilium.adapters.trust import import_from  # noqa: PLC0415

    state = _state(session(context).home)
    _print(import_from(state, folder, utc_now(), fingerprint.strip().lower()), as_json)


def _state(home: Home) -> "TrustState":
    from concilium.adapters.trust import TrustState  # noqa: PLC0415

    return TrustState(home.trust)


def _owner(context: typer.Context, passphrase_file: Path | None, *, new: bool = False) -> "Owner":
    from concilium.adapters.trust import KeyFolder, Owner  # noqa: PLC0415

    home = session(context).home
    passphrase = _passphrase("the keys at home", passphrase_file, new=new)
    return Owner(_state(home), KeyFolder(home.keys / "trust", passphrase), utc_now())


def _sticks(folders: list[Path], passphrase_file: Path | None, *, new: bool = False) -> "list[KeyFolder]":
    from concilium.adapters.trust import KeyFolder  # noqa: PLC0415

    if not folders:
        return []
    passphrase = _passphrase("the root keys", passphrase_file, new=new)
    return [KeyFolder(folder, passphrase) for folder in folders]


def _passphrase(of: str, file: Path | None, *, new: bool) -> str:
    from concilium.adapters.trust import read_passphrase  # noqa: PLC0415

    if file:
        return read_passphrase(file)
    asked: str = typer.prompt(f"Passphrase of {of}", hide_input=True, confirmation_prompt=new, err=True)
    return asked


def _cosign(state: "TrustState", raw: bytes, sticks: "list[KeyFolder]", draft: Path) -> None:
    """Say what a draft changes, sign it with each stick, and write it."""
    from concilium.adapters.trust import changes, cosign  # noqa: PLC0415

    current = state.load().root.signed if state.exists else None
    for text in changes(raw, current):
        note(text)
    for stick in sticks:
        raw = cosign(raw, current, stick)
    write_private(draft, raw.decode())


def _adopt(owner: "Owner", draft: Path, as_json: bool) -> None:
    from concilium.adapters.trust import Code, TrustRefused, read_draft  # noqa: PLC0415

    try:
        trusted = owner.adopt(read_draft(draft))
    except TrustRefused as refusal:
        if refusal.code is not Code.NOT_ENOUGH_SIGNATURES:
            raise
        hint = f"carry {draft} to the other sticks: `concilium trust cosign`, then here `concilium trust adopt`"
        raise CliError(refusal.detail, hint) from refusal
    _print(trusted, as_json)


def _print_targets(targets: "tuple[Target, ...]", as_json: bool) -> None:
    from concilium.adapters.trust import adapter  # noqa: PLC0415

    if as_json:
        print_json({"adapters": [adapter(target) for target in targets]})
        return
    for target in targets:
        line(f"{target.reference} {target.digest}" + (f" revoked: {target.revoked}" if target.revoked else ""))


def _print(trusted: "Trusted", as_json: bool) -> bool:
    """Print what is believed; return whether an index is good now."""
    from concilium.adapters.trust import report  # noqa: PLC0415

    facts = report(trusted, utc_now())
    if as_json:
        print_json(facts)
        return not facts["refused"]
    line(f"index        {facts['index']}")
    line(f"fingerprint  {facts['fingerprint']}")
    line(f"good until   {facts['good_until'] or 'not good: ' + facts['refused']}")
    for role in facts["roles"]:
        keys = ", ".join(key[:16] for key in role["keys"])
        line(
            f"{role['role']:<12} version {role['version']}, until {role['expires'][:10]}, {role['threshold']} of {keys}"
        )
    rows = ((each["adapter"], each["digest"][:12], _state_of(each)) for each in facts["adapters"])
    table(("adapter", "digest", "state"), rows, empty="No adapters; `concilium trust sign`.")
    return not facts["refused"]


def _state_of(entry: dict[str, JSON]) -> str:
    if entry["revoked"]:
        return f"revoked: {entry['revoked']}"
    return "restricted" if entry["restricted"] else "good"
