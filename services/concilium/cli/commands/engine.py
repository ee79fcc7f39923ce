"""``engine``: how vLLM is started, and what fits which card."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Annotated

import typer
import yaml

from concilium.capacity import ALLOWANCE
from concilium.cli.errors import CliError
from concilium.cli.output import line, note, print_json, table
from concilium.cli.session import AsJson, session
from concilium.contracts.base import JSON
from concilium.engine import flags, loading, profiles, weights
from concilium.engine.launch import ENVIRONMENT, Launch, launch
from concilium.engine.profiles import Chosen
from concilium.home import Home

app = typer.Typer(help="Start lines of vLLM and what fits a card.", no_args_is_help=True)
COMPOSE_ADDRESS = ("0.0.0.0", 8000)  # noqa: S104 - inside the container; its networks are internal


@app.command("command")
def command(
    context: typer.Context,
    profile: Annotated[str, typer.Argument(help="A profile of models.yaml.")],
    *,
    host: Annotated[str, typer.Option(help="Where vLLM listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="There.")] = 8000,
    vllm: Annotated[Path | None, typer.Option(help="The command `vllm` whose flags count; default: on PATH.")] = None,
    compose: Annotated[bool, typer.Option(help="Print an override file for docker compose instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the line that starts vLLM with a profile; its flags are checked, and that it fits the card."""
    home = session(context).home
    chosen = profiles.choose(home.models, profile)
    profiles.refuse_if_too_large(home.models, chosen)
    made = of_compose(chosen) if compose else launched(home, chosen, host, port)
    known, how = flags.known(vllm)
    known.check(made.flags)
    for problem in profiles.mode_problems(home.models, chosen.profile):
        note(problem)
    note(how)
    if as_json:
        print_json({"arguments": made.arguments, "environment": ENVIRONMENT, "checked": how})
    elif compose:
        line(yaml.safe_dump({"services": {"vllm": {"command": made.arguments}}}, sort_keys=False, width=200).rstrip())
    else:
        line(made.line(_key_file(home)))


@app.command("run")
def run(
    context: typer.Context,
    profile: Annotated[str, typer.Argument(help="A profile of models.yaml.")],
    *,
    host: Annotated[str, typer.Option(help="Where vLLM listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="There.")] = 8000,
    vllm: Annotated[str, typer.Option(help="The command `vllm`.")] = "vllm",
) -> None:
    """Start vLLM with a profile and stay with it; the mesh's /ready then tells how far it has loaded."""
    home = session(context).home
    chosen = profiles.choose(home.models, profile)
    profiles.refuse_if_too_large(home.models, chosen)
    words = [vllm, "serve", *launched(home, chosen, host, port).arguments]
    environ = {**os.environ, **ENVIRONMENT, "VLLM_API_KEY": _key(home)}
    try:
        process = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # noqa: S603 - the owner's program
    except OSError as error:
        raise CliError(f"{vllm} cannot be started: {error.strerror}", "name it with --vllm") from error
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda sent, _frame: process.send_signal(sent))
    home.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for; narrows the type
    loading.follow(process.stdout, process.pid, home.engine_progress, line)
    raise typer.Exit(abs(process.wait()))


def _key(home: Home) -> str:
    """Return the engine's key. Raises `CliError` when its file is missing or empty."""
    path = _key_file(home)
    try:
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"no engine key in {path}") from error
    if not key:
        raise CliError(f"{path} is empty: vLLM would ask for no key")
    return key


def launched(home: Home, chosen: Chosen, host: str, port: int) -> Launch:
    """Return how a profile is started on this machine: from the weights that were pulled, else from the hub."""
    pulled = weights.pulled(home.root, chosen.repository)
    if pulled is None:
        wanted = f"{chosen.profile.model} --precision {chosen.profile.precision}"
        note(f"{chosen.repository} is not here: vLLM fetches it, or `concilium models pull {wanted}`")
    model = str(pulled or chosen.repository)
    return launch(chosen.name, chosen.spec, chosen.profile, model=model, host=host, port=port)


def of_compose(chosen: Chosen) -> Launch:
    """Return how a profile is started in Docker Compose."""
    host, port = COMPOSE_ADDRESS
    return launch(chosen.name, chosen.spec, chosen.profile, model=chosen.repository, host=host, port=port)


@app.command("profiles")
def show_profiles(context: typer.Context, as_json: AsJson = False) -> None:
    """Compute what each profile needs of its card. Nothing is loaded or asked."""
    models = session(context).home.models
    chosen = [profiles.choose(models, name) for name in models.profiles]
    if as_json:
        print_json({it.name: _figures(it) for it in chosen})
        return
    table(PROFILE_COLUMNS, [profile_row(it) for it in chosen], empty="models.yaml has no profiles")
    note(f"GB are 10^9 bytes; {ALLOWANCE / 1e9:g} of each card are left for the rest. Computed, not measured.")


PROFILE_COLUMNS = (
    "profile",
    "weights",
    "cards",
    "weights GB",
    "adapters",
    "cache GB",
    "tokens",
    "contexts",
    "",
)


def profile_row(chosen: Chosen) -> tuple[str, ...]:
    """Return the figures of a profile as they are printed."""
    made, profile = chosen.fit, chosen.profile
    cards = f"{profile.cards} x " if profile.cards > 1 else ""
    slots = f"{made.lora_slots} x r{profile.loras.rank}, {made.loras / 1e9:.2f} GB" if profile.loras else "none"
    fits = not made.missing
    return (
        chosen.name,
        f"{profile.model} {profile.precision}",
        f"{cards}{profile.card_gb:g} GB: {shares(chosen)}",
        f"{made.weights / 1e9:.1f}",
        slots,
        f"{made.kv / 1e9:.1f}",
        f"{made.kv_tokens}",
        f"{made.contexts:.1f} x {made.context_tokens}",
        "fits" if fits else f"{made.missing / 1e9:.1f} GB too little",
    )


def shares(chosen: Chosen) -> str:
    """Return who may use which part of the card."""
    return ", ".join(f"{room} {part:.0%}" for room, part in chosen.profile.split.items())


def _figures(chosen: Chosen) -> dict[str, JSON]:
    made = chosen.fit
    computed = {
        "kv": made.kv,
        "kv_tokens": made.kv_tokens,
        "contexts": round(made.contexts, 2),
        "missing": made.missing,
    }
    return {**made.model_dump(), **computed, "split": dict(chosen.profile.split), "fits": not made.missing}


def _key_file(home: Home) -> Path:
    """Return the file with the engine's key: what the mesh shows is what vLLM shall ask for."""
    named = home.config.engine.api_key_file
    path = Path(named).expanduser() if named else home.keys / "engine.key"
    if not named:
        note(f"set engine.api_key_file to {path}, or the mesh shows no key")
    if not path.is_file():
        note(f"{path} is not there yet: (umask 077; openssl rand -hex 32 > {path})")
    return path
