"""The task pages in a real Chromium, over a real mesh with its three agents."""

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from support.mesh import Mesh

ROOT = Path(__file__).resolve().parents[3]
SHOTS = ROOT / "build" / "screenshots"
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WISH = (
    "Read this invoice, run this script on its text, read the result aloud\n"
    "```python\nimport sys\nprint('The invoice has', len(sys.stdin.read().split()), 'words.')\n```\n"
)
DONE_MS = 60_000

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: sudo apt-get install chromium")


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    with Mesh.temporary(agents=("code", "vision", "tts")) as mesh:
        mesh.start()
        yield mesh


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser, mesh: Mesh) -> Page:
    """Somebody signed in as the admin, in a browser that reports every error of the page."""
    page = await browser.new_page(viewport={"width": 1200, "height": 900})
    page.on("pageerror", lambda error: pytest.fail(f"the page broke: {error}"))
    await sign_in(page, mesh, mesh.key())
    return page


async def sign_in(page: Page, mesh: Mesh, key: str) -> None:
    await page.goto(f"{mesh.url}/login")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()


async def ask(page: Page, mesh: Mesh, text: str, *files: Path) -> None:
    await page.goto(mesh.url)
    await page.get_by_label("Ask the council").fill(text)
    if files:
        await page.get_by_label("Files").set_input_files([str(file) for file in files])
    await page.get_by_role("button", name="Ask").click()
    await page.wait_for_url("**/tasks/task_*")


async def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


async def test_a_stranger_is_sent_to_sign_in_and_a_wrong_key_is_refused(browser: Browser, mesh: Mesh) -> None:
    page = await browser.new_page()
    await page.goto(mesh.url)
    await page.wait_for_url("**/login")
    await shot(page, "login")
    await sign_in(page, mesh, "ck_" + "x" * 43)
    await expect(page.get_by_role("alert")).to_contain_text("not known")


async def test_a_task_is_followed_live_from_the_form_to_its_sound(page: Page, mesh: Mesh) -> None:
    await ask(page, mesh, WISH, ROOT / "examples" / "invoice.png")
    loads = 0

    def count(_: object) -> None:
        nonlocal loads
        loads += 1

    page.on("load", count)
    await expect(page.locator("#state")).to_have_text("completed", timeout=DONE_MS)
    assert loads == 0, "the page must change without being loaded again"
    rows = page.locator("#steps tbody tr")
    await expect(rows).to_have_count(3)
    for number, skill in enumerate(("vision.ocr", "code.run", "tts.speak")):
        await expect(rows.nth(number)).to_contain_text(skill)
        await expect(rows.nth(number)).to_contain_text("home")
        await expect(rows.nth(number)).to_contain_text("completed")
    audio = page.locator("#artifacts audio")
    await expect(audio).to_have_count(1)
    await page.wait_for_function("document.querySelector('#artifacts audio').duration > 0.5")
    await page.get_by_text("Request", exact=True).click()
    picture = page.locator("details img")
    await picture.scroll_into_view_if_needed()
    await page.wait_for_function("document.querySelector('details img').naturalWidth > 100")
    await expect(page.locator("dd code").nth(1)).to_have_text(await _trace_of(page, mesh))
    await shot(page, "task-completed")


async def _trace_of(page: Page, mesh: Mesh) -> str:
    task_id = page.url.rsplit("/", 1)[1]
    answer = await page.request.get(f"{mesh.url}/v1/tasks/{task_id}", headers={"Authorization": f"Bearer {mesh.key()}"})
    return str((await answer.json())["trace_id"])


async def test_a_running_task_is_canceled_and_replayed(page: Page, mesh: Mesh) -> None:
    await ask(page, mesh, "Run this script\n```python\nimport time\ntime.sleep(50)\n```\n")
    await expect(page.locator("#steps tbody tr").first).to_contain_text("working", timeout=DONE_MS)
    await shot(page, "task-working")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#state")).to_have_text("canceled")
    first = page.url
    await page.get_by_role("button", name="Replay").click()
    await page.wait_for_url(lambda url: url != first)
    await expect(page.get_by_text("Replay of")).to_be_visible()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#state")).to_have_text("canceled")


async def test_a_question_is_answered_on_the_page(page: Page, mesh: Mesh) -> None:
    await ask(page, mesh, "Read this aloud")
    await expect(page.locator("#state")).to_have_text("input-required", timeout=DONE_MS)
    await shot(page, "task-asking")
    await page.get_by_label("Your answer").fill('Say "good morning"')
    await page.get_by_role("button", name="Answer").click()
    await expect(page.locator("#state")).to_have_text("completed", timeout=DONE_MS)


async def test_hostile_text_is_shown_and_not_run(page: Page, mesh: Mesh) -> None:
    await ask(page, mesh, "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>")
    await expect(page.locator("h1")).to_contain_text("<script>")
    await page.goto(mesh.url)
    await expect(page.get_by_role("link", name="<script>").first).to_be_visible()
    assert "owned" not in await page.title()
    await shot(page, "tasks")


async def test_a_foreign_task_is_not_shown_and_a_foreign_post_is_refused(
    browser: Browser, page: Page, mesh: Mesh
) -> None:
    await ask(page, mesh, "hello there")
    task = page.url
    made = await page.request.post(
        f"{mesh.url}/v1/keys",
        headers={"Authorization": f"Bearer {mesh.key()}"},
        data={"name": "other", "scopes": ["tasks:read", "tasks:write"]},
    )
    other = await (await browser.new_context()).new_page()
    await sign_in(other, mesh, (await made.json())["secret"])
    answer = await other.goto(task)
    assert answer is not None
    assert answer.status == 404
    posted = await page.request.post(f"{task}/cancel", headers={"Origin": "https://evil.example"})
    assert posted.status == 403


async def test_an_owner_sees_how_the_mesh_is_and_nobody_else_does(browser: Browser, page: Page, mesh: Mesh) -> None:
    await ask(page, mesh, 'Say "good morning"')
    await expect(page.locator("#state")).to_have_text("completed", timeout=DONE_MS)
    await page.get_by_role("link", name="Health").click()
    await expect(page.get_by_role("heading", name="Health")).to_be_visible()
    await expect(page.get_by_text("This mesh was never backed up")).to_be_visible()
    completed = page.locator("section", has_text="Tasks").locator("tr", has_text="completed")
    await expect(completed.locator("rect.bar")).to_have_attribute("width", re.compile(r"^[1-9]"))
    await expect(page.locator("section", has_text="Steps that wait").get_by_text("vision")).to_be_visible()
    await shot(page, "health")
    made = await page.request.post(
        f"{mesh.url}/v1/keys",
        headers={"Authorization": f"Bearer {mesh.key()}"},
        data={"name": "reader", "scopes": ["tasks:read", "tasks:write"]},
    )
    other = await (await browser.new_context()).new_page()
    await sign_in(other, mesh, (await made.json())["secret"])
    await expect(other.get_by_role("link", name="Health")).to_have_count(0)
    answer = await other.goto(f"{mesh.url}/figures")
    assert answer is not None
    assert answer.status == 403


async def test_signing_out_ends_the_session(page: Page, mesh: Mesh) -> None:
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/login")
    await page.goto(mesh.url)
    await page.wait_for_url("**/login")
