"""``adapters``: make, look at, check, convert and combine adapters as files. Nothing is loaded into an engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
import yaml
from pydantic import ValidationError
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from concilium.cli.errors import FAILED, USAGE, CliError
from concilium.cli.output import line, note, print_json, size, stderr, table
from concilium.cli.session import AsJson
from concilium.contracts.adapters import WEIGHTS, AdapterFacts
from concilium.contracts.base import JSON

if TYPE_CHECKING:
    from concilium.adapters.base_model import BaseModelFacts
    from concilium.adapters.bundle import Bundle

app = typer.Typer(help="Pack, check, export and compose LoRA adapters.", no_args_is_help=True)

T = TypeVar("T")
Folder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of a bundle.")]
Target = Annotated[Path, typer.Argument(help="The folder to make.")]
Base = Annotated[Path | None, typer.Option(help="The base model's folder: its config.json and safetensors files.")]
_EXTRA = "pip install 'concilium[adapters]'"


@app.command()
def pack(
    source: Annotated[Path, typer.Argument(help="What PEFT's save_pretrained, or `adapters export`, wrote.")],
    target: Target,
    *,
    base: Annotated[Path, typer.Option(help="The base model's folder: its config.json and safetensors files.")],
    facts: Annotated[Path, typer.Option(help="YAML: id, version, capability, paradigm and the like.")],
    license_file: Annotated[Path, typer.Option("--license", help="The text of its licence.")],
    readme: Annotated[Path | None, typer.Option(help="Its README; absent: a short one is written.")] = None,
    report: Annotated[Path | None, typer.Option(help="Its verify_report.json; absent: INSUFFICIENT.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a bundle of a trained LoRA; the same input gives the same digest."""
    with _needs_extra():
        from concilium.adapters.pack import Papers  # noqa: PLC0415 - numpy is an extra
        from concilium.adapters.pack import pack as make  # noqa: PLC0415

    said, papers = _facts(facts), Papers(license_file, readme, report)
    with _progress(source, times=3) as told:
        bundle = _checked(lambda: make(source, target, said, _base(base), papers, progress=told), as_json)
    _print(bundle, as_json)


@app.command()
def show(folder: Folder, as_json: AsJson = False) -> None:
    """Show what a bundle says of itself, once it is checked."""
    _print(_open(folder, None, as_json), as_json)


@app.command()
def check(folder: Folder, base: Base = None, as_json: AsJson = False) -> None:
    """Check a bundle, and that it is made for a base model."""
    bundle = _open(folder, base, as_json)
    if as_json:
        print_json({"digest": bundle.digest, "served_name": bundle.served_name, "base_checked": base is not None})
        return
    line(f"{bundle.manifest.reference} is sound: {bundle.digest}")
    note(f"made for {base}" if base else "Its base was not checked; name it with --base.")


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="What PEFT wrote.")], target: Target, as_json: AsJson = False
) -> None:
    """Turn a LoRA with several ranks, alphas or rsLoRA into one of a single rank that engines serve."""
    with _needs_extra():
        from concilium.adapters.export import export as convert  # noqa: PLC0415 - numpy is an extra

    with _progress(source, times=2) as told:
        made = _checked(lambda: convert(source, target, told), as_json)
    if as_json:
        print_json({"folder": str(target), "rank": made.rank, "dtype": made.dtype, "modules": made.modules})
        return
    line(f"{target}: rank {made.rank}, {made.modules} modules, {made.dtype}")


@app.command()
def compose(
    parents: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Two or more bundles, the core first.")],
    *,
    store: Annotated[Path, typer.Option(help="Where composites are kept, each under its id.")],
    weight: Annotated[list[float] | None, typer.Option(help="One for each bundle, in order; absent: 1.")] = None,
    method: Annotated[str, typer.Option(help="cat: the exact sum, ranks add up; svd: cut to --max-rank.")] = "cat",
    max_rank: Annotated[int, typer.Option(min=1, max=512, help="The engine's largest rank.")] = 64,
    as_json: AsJson = False,
) -> None:
    """Make one adapter of several, or find it where it was made before."""
    with _needs_extra():
        from concilium.adapters.compose import Recipe  # noqa: PLC0415 - numpy is an extra
        from concilium.adapters.compose import compose as make  # noqa: PLC0415

    found = [_open(parent, None, as_json) for parent in parents]
    recipe = Recipe(found, weight or [1.0] * len(found), method, max_rank)
    bundle = _checked(lambda: make(recipe, store), as_json)
    _print(bundle, as_json)


def _open(folder: Path, base: Path | None, as_json: bool) -> "Bundle":
    with _needs_extra():
        from concilium.adapters.bundle import open_bundle  # noqa: PLC0415 - numpy is an extra

    with _progress(folder, times=2) as told:
        return _checked(lambda: open_bundle(folder, _base(base) if base else None, told), as_json)


def _base(folder: Path) -> "BaseModelFacts":
    from concilium.adapters.base_model import read_base  # noqa: PLC0415 - numpy is an extra

    return read_base(folder)


def _checked(work: Callable[[], T], as_json: bool) -> T:
    """Return what some work returns; a refusal ends the command, with its code."""
    from concilium.adapters.refusals import BundleRefused  # noqa: PLC0415 - as those beside it

    try:
        return work()
    except BundleRefused as error:
        if as_json:
            print_json({"refused": error.code, "detail": error.detail, "file": error.file, "module": error.module})
        raise CliError(f"{error.code}: {error.detail}", code=FAILED) from error


@contextmanager
def _needs_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {"numpy", "safetensors"}:
            raise
        raise CliError(f"adapters need {error.name}, which is not installed here", _EXTRA) from error


def _facts(path: Path) -> AdapterFacts:
    try:
        return AdapterFacts.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CliError(f"{path} cannot be read: {error}", code=USAGE) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise CliError(f"{path}, {where}: {first['msg']}", "docs/adapters.md lists its members", code=USAGE) from error


@contextmanager
def _progress(folder: Path, times: int) -> Iterator[Callable[[int], None]]:
    """Yield what shows on a terminal how many of the weights' bytes were read, of as many as are read in all."""
    try:
        total = (folder / WEIGHTS).lstat().st_size * times
    except OSError:
        total = None
    columns = (TextColumn(WEIGHTS), BarColumn(), DownloadColumn(binary_units=True))
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        row = progress.add_task("", total=total)
        yield lambda count: progress.advance(row, count)


def _print(bundle: "Bundle", as_json: bool) -> None:
    manifest = bundle.manifest
    if as_json:
        facts: dict[str, JSON] = {
            "digest": bundle.digest,
            "served_name": bundle.served_name,
            "folder": str(bundle.folder),
        }
        print_json(facts | {"modules": len(bundle.modules), "manifest": manifest.model_dump(mode="json")})
        return
    rows = [
        ("adapter", str(manifest.reference)),
        ("digest", bundle.digest),
        ("served as", bundle.served_name),
        ("capability", manifest.capability),
        ("base", f"{manifest.base.name} ({manifest.base.architecture})"),
        ("rank", f"{manifest.rank}, {len(bundle.modules)} modules, {size(manifest.bytes)}"),
        ("report", bundle.report.verdict.value),
        ("parents", " ".join(manifest.parents)),
    ]
    if manifest.composition is not None:
        made = manifest.composition
        rows.append(("made by", f"{made.method}, relative Frobenius error {made.error:.3g}"))
    if manifest.paradigm is not None:
        view = manifest.paradigm
        rows += [("paradigm", f"{view.id}: {view.title.en} / {view.title.ru}")]
        rows += [("topics", ", ".join(view.allowed_topics) or "only when asked for")]
        rows += [("warning", view.warning_text.en), ("", view.warning_text.ru)]
    if manifest.restricted:
        rows.append(("restricted", "only requests that name it may use it"))
    table(("", ""), [row for row in rows if row[1]], empty="")
