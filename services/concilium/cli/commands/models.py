"""``models``: the base models, what fits a card, and their weights."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import aiohttp
import typer
from pydantic import ValidationError
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from concilium.capacity import fit, shape_of, weight_bytes
from concilium.cli.errors import USAGE, CliError
from concilium.cli.output import note, print_json, stderr, table
from concilium.cli.session import AsJson, session
from concilium.contracts.errors import Invalid
from concilium.contracts.models import Precision, Profile
from concilium.engine import pull, weights
from concilium.engine.remote import Judge, Remote
from concilium.gateway.ssrf import CallbackRefused, Guard, GuardedResolver

app = typer.Typer(help="Base models: list, fit, pull.", no_args_is_help=True)
Model = Annotated[str, typer.Argument(help="A model of models.yaml.")]
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


@app.command("list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models of models.yaml, and which weights are here."""
    home = session(context).home
    rows = [
        (
            name,
            precision,
            it.repository,
            weight_bytes(shape_of(spec), precision),
            weights.pulled(home.root, it.repository),
        )
        for name, spec in home.models.models.items()
        for precision, it in spec.weights.items()
    ]
    if as_json:
        names = ("model", "precision", "repository", "bytes", "folder")
        print_json([dict(zip(names, (*row[:4], row[4] and str(row[4])), strict=True)) for row in rows])
        return
    columns = ("model", "precision", "repository", "GB", "here")
    shown = [(*row[:3], f"{row[3] / 1e9:.1f}", str(row[4] or "")) for row in rows]
    table(columns, shown, empty="models.yaml has no models")


@app.command("fit")
def show_fit(
    context: typer.Context,
    model: Model = "qwen3-30b-a3b",
    *,
    card_gb: Annotated[float, typer.Option(min=0.1, help="Memory of one card, 10^9 bytes.")] = 24.0,
    cards: Annotated[int, typer.Option(min=1, help="Cards that hold it together.")] = 1,
    share: Annotated[float, typer.Option(help="Part of each card, below 1.")] = 0.92,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of context.")] = 32_768,
    slots: Annotated[int, typer.Option(min=0, help="Adapters on the card.")] = 8,
    rank: Annotated[int, typer.Option(help="Their rank.")] = 16,
    as_json: AsJson = False,
) -> None:
    """Compute which weights of a model fit a card, and what then remains for its context."""
    spec = session(context).home.models.models.get(model)
    if spec is None:
        raise CliError(f"there is no model '{model}'", "`concilium models list` shows them", USAGE)
    if tokens > spec.longest:
        raise CliError(f"{model} reads at most {spec.longest} tokens, not {tokens}", code=USAGE)
    loras = {"slots": slots, "in_memory": slots, "rank": rank, "modules": _ATTENTION} if slots else None
    asked = {"model": model, "card_gb": card_gb, "cards": cards, "split": {"brain": share}}
    asked |= {"context_tokens": tokens, "streams": 1, "loras": loras}
    found = {
        (precision, cache): fit(spec, _profile({**asked, "precision": precision, "kv_cache": cache}))
        for precision in spec.weights
        for cache in ("auto", "fp8")
    }
    if as_json:
        print_json(
            [{"precision": p, "kv_cache": c, **it.model_dump(), "missing": it.missing} for (p, c), it in found.items()]
        )
        return
    rows = [
        (
            precision,
            "16 bits" if cache == "auto" else cache,
            f"{it.weights / 1e9:.1f}",
            f"{it.kv / 1e9:.1f}",
            f"{it.contexts:.1f} x {tokens}",
            f"{it.missing / 1e9:.1f} GB too little" if it.missing else "fits",
        )
        for (precision, cache), it in found.items()
    ]
    table(("weights", "cache", "weights GB", "cache GB", "contexts", ""), rows, empty="")
    note(f"Computed, not measured: {share:.0%} of {cards} x {card_gb:g} GB, {slots} adapters r={rank} on attention.")


def _profile(values: dict[str, object]) -> Profile:
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CliError(wrong, code=USAGE) from error


@app.command("pull")
def pull_model(
    context: typer.Context,
    model: Model,
    *,
    precision: Annotated[Precision, typer.Option(help="Which weights.")] = "int4",
    hub: Annotated[str, typer.Option(help="A hub with Hugging Face's addresses.")] = "https://huggingface.co",
    revision: Annotated[str, typer.Option(help="Branch, tag or commit there.")] = "main",
    source: Annotated[
        str | None, typer.Option("--from", help="Instead: a folder (https, file) with SHA256SUMS.")
    ] = None,
) -> None:
    """Fetch the weights of a model; what was begun is carried on. Only safetensors, tokenizer and configuration."""
    home = session(context).home
    spec = home.models.models.get(model)
    if spec is None:
        raise CliError(f"there is no model '{model}'", "`concilium models list` shows them", USAGE)
    if precision not in spec.weights:
        raise CliError(f"{model} has no weights in {precision}", f"it has {', '.join(spec.weights)}", USAGE)
    repository = spec.weights[precision].repository
    place = weights.folder(home.root, repository)
    asyncio.run(_pull(source or hub, None if source else (repository, revision), place))
    note(f"{repository} is in {place}")


async def _pull(origin: str, hubs: tuple[str, str] | None, place: Path) -> None:
    """Fetch from a hub (a repository and a revision of it), or from a folder."""
    parts = urlsplit(origin)
    if parts.scheme not in ("https", "file") and (parts.scheme, parts.hostname) != ("http", "127.0.0.1"):
        raise CliError(f"{origin} begins with neither https:// nor file://", code=USAGE)
    # Where the owner points may be private; what it redirects to may be public, or that place again.
    port = parts.port or (443 if parts.scheme == "https" else 80)
    guard = Guard([f"{parts.hostname}:{port}"] if parts.hostname else [])

    async def judge(url: str) -> None:
        try:
            await guard.check(url)
        except CallbackRefused as error:
            raise Invalid(f"{origin} redirects to {urlsplit(url).hostname}, which is no public address") from error

    try:
        await _fetch(origin, hubs, place, GuardedResolver(guard), judge)
    except CallbackRefused as error:
        raise Invalid(f"{parts.hostname} is not where it was a moment ago") from error


async def _fetch(
    origin: str, hubs: tuple[str, str] | None, place: Path, resolver: GuardedResolver, judge: Judge
) -> None:
    connector = aiohttp.TCPConnector(resolver=resolver)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        remote = Remote(http, judge)
        wanted = await (pull.of_hub(remote, origin, *hubs) if hubs else pull.of_folder(remote, origin))
        if wanted.left_out:
            note(f"left out: {', '.join(wanted.left_out)}")
        with _shown(wanted.total) as progress:
            await pull.fetch(remote, wanted, place, progress)


@contextmanager
def _shown(total: int) -> Iterator[Callable[[str, int], None]]:
    """Show a bar on a terminal, and a line for each tenth elsewhere."""
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    here: dict[str, int] = {}
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as bar:
        task, told = bar.add_task("", total=total), 0

        def tell(name: str, count: int) -> None:
            nonlocal told
            here[name] = count
            bar.update(task, completed=sum(here.values()))
            tenth = 10 * sum(here.values()) // max(1, total)
            if not stderr.is_terminal and tenth > told:
                told = tenth
                note(f"{10 * tenth} % of {total / 1e9:.2f} GB")

        yield tell
