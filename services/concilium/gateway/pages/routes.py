"""The pages' routes: sign in, list, ask, look, act. Every act is a form post from the mesh's own pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from concilium.contracts import limits
from concilium.contracts.errors import ConciliumError, Forbidden, Invalid, Unauthorized
from concilium.contracts.states import TaskState
from concilium.contracts.task import Request as Wish
from concilium.contracts.task import Submission, TaskView
from concilium.gateway import events
from concilium.gateway.ask import Upload, store
from concilium.gateway.auth import Caller, Scope
from concilium.gateway.files import file_of
from concilium.gateway.pages import health, session, words
from concilium.gateway.state import Gateway, gateway_of
from concilium.ledger import hash_of

PAGE = 50
HISTORY = 500
_FOLDER = Path(__file__).parent
_CSP = (
    "default-src 'self'; img-src 'self'; media-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "Cache-Control": "no-store",
    # With the stricter default a browser hides the origin of our own forms as well (Fetch standard, "null" origin).
    "Referrer-Policy": "same-origin",
}
_TEMPLATES = Environment(
    loader=PackageLoader("concilium.gateway.pages"), autoescape=select_autoescape(), undefined=StrictUndefined
)
Page = Callable[[Request], Awaitable[Response]]


def routes() -> list[BaseRoute]:
    """Return the pages' routes, to be added to the control plane's app."""
    return [
        Route("/", _guarded(task_list)),
        Route("/login", login_form),
        Route("/login", login, methods=["POST"]),
        Route("/logout", _guarded(logout), methods=["POST"]),
        Route("/ask", _guarded(ask), methods=["POST"]),
        Route("/figures", _guarded(figures_page)),
        Route("/tasks/{id}", _guarded(task_page)),
        Route("/tasks/{id}/body", _guarded(task_body)),
        Route("/tasks/{id}/events", _guarded(task_events)),
        Route("/tasks/{id}/files/{sha256}", _guarded(task_file)),
        Route("/tasks/{id}/cancel", _guarded(cancel), methods=["POST"]),
        Route("/tasks/{id}/replay", _guarded(replay), methods=["POST"]),
        Route("/tasks/{id}/reply", _guarded(reply), methods=["POST"]),
        Mount("/static", StaticFiles(directory=_FOLDER / "static")),
    ]


def _guarded(page: Page) -> Page:
    """Show refusals as pages, and send who has no session to the sign-in page."""

    async def shown(request: Request) -> Response:
        try:
            return await page(request)
        except Unauthorized:
            return RedirectResponse("/login", 303)
        except ConciliumError as error:
            return _render("problem.html", status=error.status, title=error.title, detail=error.detail)

    return shown


def _render(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    known: dict[str, Any] = {"key": None, "flash": None}
    html = _TEMPLATES.get_template(template).render(known | values)
    return HTMLResponse(html, status, headers=_HEADERS)


async def _caller(request: Request, scope: Scope) -> Caller:
    """Return whose session the request has. Raises `Unauthorized`, `Forbidden` for a post from another site."""
    gateway = gateway_of(request)
    if request.method == "POST":
        _same_origin(request)
    digest = session.verify(request.cookies.get(session.COOKIE, ""), gateway.running.session_key)
    if digest is None:
        raise Unauthorized("sign in")
    return await gateway.auth.check_digest(digest, scope)


def _same_origin(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("this form was sent from another site")


async def _task(request: Request, scope: Scope) -> tuple[Gateway, Caller, TaskView]:
    gateway, caller = gateway_of(request), await _caller(request, scope)
    return gateway, caller, await gateway.visible_task(request.path_params["id"], caller)


async def login_form(_request: Request) -> Response:
    """Show the sign-in page."""
    return _render("login.html")


async def login(request: Request) -> Response:
    """Start a session for an API key that may read tasks."""
    gateway = gateway_of(request)
    try:
        _same_origin(request)
        secret = str((await request.form(max_files=0, max_fields=4)).get("api_key", "")).strip()
        await gateway.auth.check(secret, Scope.READ)
    except ConciliumError as error:
        return _render("login.html", status=error.status, flash=error.detail)
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        session.COOKIE,
        session.sign(hash_of(secret), gateway.running.session_key),
        max_age=session.LIFETIME_S,
        httponly=True,
        samesite="strict",
        secure=_over_tls(request, gateway),
    )
    return answer


def _over_tls(request: Request, gateway: Gateway) -> bool:
    """Whether the browser came over TLS: to us, or to the proxy at our public address."""
    public = urlsplit(gateway.home.config.gateway.public_url)
    return request.url.scheme == "https" or (public.scheme, public.hostname) == ("https", request.url.hostname)


async def logout(request: Request) -> Response:
    """End the session in this browser."""
    await _caller(request, Scope.READ)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(session.COOKIE)
    return answer


async def task_list(request: Request) -> Response:
    """Show the caller's tasks, newest first, and the form that asks."""
    gateway, caller = gateway_of(request), await _caller(request, Scope.READ)
    try:
        state = TaskState(request.query_params["state"]) if request.query_params.get("state") else None
    except ValueError as error:
        raise Invalid(f"no such state: {request.query_params['state']}") from error
    found = await gateway.ledger.list_tasks(
        key_id=None if caller.admin else caller.key_id,
        state=state,
        limit=PAGE + 1,
        before=request.query_params.get("before"),
    )
    before = found[PAGE - 1].id if len(found) > PAGE else None
    return _render("tasks.html", key=caller, tasks=found[:PAGE], states=list(TaskState), state=state, before=before)


async def ask(request: Request) -> Response:
    """Submit what the form asks and show its task."""
    gateway, caller = gateway_of(request), await _caller(request, Scope.WRITE)
    form = await request.form(max_files=limits.MESSAGE_PARTS, max_fields=4, max_part_size=4 * limits.TEXT_CHARS)
    text = str(form.get("text", ""))[: limits.TEXT_CHARS]
    files = await store(gateway, await _uploads(form), caller.key_id)
    if not text.strip() and not files:
        raise Invalid("say what you want: give text, files or both")
    submitted = await gateway.submit(
        Submission(
            request=Wish(text=text, files=files), key_id=caller.key_id, traceparent=request.state.trace.traceparent
        )
    )
    return RedirectResponse(f"/tasks/{submitted.task.id}", 303)


async def figures_page(request: Request) -> Response:
    """Show an admin how the mesh is."""
    gateway, caller = gateway_of(request), await _caller(request, Scope.ADMIN)
    figures = await gateway.figures.read(gateway.ledger, gateway.home, gateway.depths)
    return _render("health.html", key=caller, groups=health.groups(figures), needs=health.needs(figures))


async def _uploads(form: FormData) -> list[Upload]:
    return [
        Upload(Path(part.filename).name, part.content_type or "application/octet-stream", await part.read())
        for _, part in form.multi_items()
        if isinstance(part, UploadFile) and part.filename
    ]


async def task_page(request: Request) -> Response:
    """Show one task; its script keeps it live."""
    gateway, caller, task = await _task(request, Scope.READ)
    return _render("task.html", key=caller, **await _shown(gateway, task))


async def task_body(request: Request) -> Response:
    """Return the live part of the task's page."""
    gateway, _, task = await _task(request, Scope.READ)
    return _render("task_body.html", **await _shown(gateway, task))


async def _shown(gateway: Gateway, task: TaskView) -> dict[str, Any]:
    steps = await gateway.ledger.steps(task.id)
    history = await gateway.ledger.events(task.id, after=max(0, task.last_seq - HISTORY), limit=HISTORY)
    return {
        "task": task,
        "steps": steps,
        "events": history,
        "progress": words.latest_progress(history),
        "artifacts": words.files_of(task),
        "sentence": words.sentence,
    }


async def task_events(request: Request) -> Response:
    """Stream the task's events; ``end`` says that nothing will follow."""
    gateway, _, task = await _task(request, Scope.READ)
    after = request.headers.get("last-event-id") or request.query_params.get("after", "0")
    if not (after.isascii() and after.isdigit() and len(after) <= 16):
        raise Invalid("after must be the number of an event")
    return StreamingResponse(
        _until_the_end(gateway, task, int(after)),
        media_type=events.EVENT_STREAM,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _until_the_end(gateway: Gateway, task: TaskView, after: int) -> AsyncIterator[bytes]:
    async for piece in events.stream(gateway, task, after):
        yield piece
    if not gateway.closing.is_set():
        yield b"event: end\ndata: {}\n\n"


async def task_file(request: Request) -> Response:
    """Return a file of the task, safe to show."""
    gateway, _, task = await _task(request, Scope.READ)
    return await file_of(gateway, task, request.path_params["sha256"])


async def cancel(request: Request) -> Response:
    """Cancel the task."""
    gateway, _, task = await _task(request, Scope.WRITE)
    await gateway.cancel(task.id, "canceled on its page")
    return RedirectResponse(f"/tasks/{task.id}", 303)


async def replay(request: Request) -> Response:
    """Ask the same again and show the new task."""
    gateway, caller, task = await _task(request, Scope.WRITE)
    submitted = await gateway.ledger.replay(task.id, caller.key_id, request.state.trace.traceparent)
    gateway.ring(submitted.rings)
    return RedirectResponse(f"/tasks/{submitted.task.id}", 303)


async def reply(request: Request) -> Response:
    """Answer what the task asks."""
    gateway, _, task = await _task(request, Scope.WRITE)
    text = str((await request.form(max_files=0, max_fields=2)).get("text", ""))[: limits.TEXT_CHARS]
    if not text.strip():
        raise Invalid("say something")
    submitted = await gateway.ledger.reply(task.id, text)
    gateway.ring(submitted.rings)
    return RedirectResponse(f"/tasks/{task.id}", 303)
