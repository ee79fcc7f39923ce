"""The skill router: measured on labelled requests, and open to agents it has never heard of."""

import importlib.util
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concilium.brain import Brain
from concilium.brain.admit import Admitted
from concilium.brain.references import walk
from concilium.brain.router import Asked, Routed, SkillRouter
from concilium.brain.schemas import SkillIndex
from concilium.brain.validate import plan_problems
from concilium.contracts.parts import FileRef
from concilium.contracts.skill import AgentManifest, Catalog
from concilium.contracts.task import Request
from support.story import PNG, shipped_catalog, turn

ROOT = Path(__file__).resolve().parents[3]
INDEX = SkillIndex(shipped_catalog())
ROUTER = SkillRouter(INDEX)
BRAIN = Brain(shipped_catalog(), engine_configured=False)
PDF = FileRef(sha256="c" * 64, name="contract.pdf", media_type="application/pdf", size=10)
PNG2 = FileRef(sha256="d" * 64, name="other.png", media_type="image/png", size=10)
XLSX = FileRef(
    sha256="e" * 64,
    name="prices.xlsx",
    media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    size=10,
)
SOLUTION = FileRef(sha256="f" * 64, name="solution.py", media_type="text/x-python", size=10)
TESTS = FileRef(sha256="1" * 64, name="test_solution.py", media_type="text/x-python", size=10)
FILE = {"$ref": "#/$defs/File"}


def benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("router_benchmark", ROOT / "benchmarks" / "router.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MEASURE = benchmark()
CASES = MEASURE.load()


def ask(text: str, *files: FileRef, router: SkillRouter = ROUTER) -> Routed | Asked:
    return router.route(Admitted(text=text, replies=(), files=files, language="en"))


def only_step(routed: Routed | Asked) -> tuple[str, Any]:
    assert isinstance(routed, Routed), routed
    (step,) = routed.plan.steps
    return step.skill, step.input


@pytest.fixture(scope="module")
def wider() -> SkillRouter:
    """A router over a catalog with two agents that have no rules."""

    def agent(name: str, skill: str, schema: dict[str, Any], *examples: str) -> AgentManifest:
        data = {"name": f"{name}.{skill}", "description": name, "input_schema": schema, "examples": examples}
        return AgentManifest.model_validate(
            {"name": name, "description": name, "skills": [data | {"output_schema": {"type": "object"}}]}
        )

    translate = agent(
        "translate", "text",
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "translate this text into French", "translate the sentence", "переведи фразу на французский",
    )  # fmt: skip
    document = agent(
        "document", "summarise",
        {"type": "object", "properties": {"document": FILE}, "required": ["document"]},
        "summarise this contract", "summarise the PDF", "give me a summary of the document",
    )  # fmt: skip
    agents = shipped_catalog().agents | {"translate": translate, "document": document}
    return SkillRouter(SkillIndex(Catalog(agents=agents)))


@pytest.mark.parametrize("case", [case for case in CASES if case["split"] == "review"], ids=lambda case: case["id"])
def test_every_request_of_the_review_is_routed_as_labelled(case: dict[str, Any]) -> None:
    assert MEASURE.judge(case, ROUTER)[0] in {"exact", "asked-right"}, case["text"]


@pytest.mark.parametrize(("split", "floor"), [("dev", 0.97), ("test", 0.95)])
def test_the_router_is_right_on_the_labelled_requests(split: str, floor: float) -> None:
    verdicts = [MEASURE.judge(case, ROUTER)[0] for case in CASES if case["split"] == split]
    assert len(verdicts) >= 100
    assert sum(v in {"exact", "asked-right"} for v in verdicts) / len(verdicts) >= floor
    assert verdicts.count("guessed") == 0


def test_every_routed_plan_of_the_labelled_requests_is_valid() -> None:
    for case in CASES:
        admitted = MEASURE.admitted(case)
        routed = ROUTER.route(admitted)
        if isinstance(routed, Routed):
            assert plan_problems(routed.plan, Request(text=admitted.text, files=admitted.files), INDEX) == []


def test_a_request_takes_milliseconds() -> None:
    texts = [case["text"] for case in CASES]
    begun = time.process_time()
    for text in texts:
        ask(text, PNG)
    assert (time.process_time() - begun) / len(texts) < 0.005


def test_a_text_skill_without_rules_is_routed_from_its_examples(wider: SkillRouter) -> None:
    routed = ask('Translate the sentence "good morning" into French', router=wider)
    assert only_step(routed) == ("translate.text", {"text": "good morning"})
    assert only_step(ask("переведи фразу на французский: доброе утро", router=wider))[1] == {"text": "доброе утро"}


def test_a_file_skill_without_rules_gets_the_file_of_its_kind(wider: SkillRouter) -> None:
    assert only_step(ask("summarise this contract", PNG, PDF, router=wider)) == (
        "document.summarise",
        {"document": {"$ref": "#/request/files/1"}},
    )


def test_a_file_skill_without_its_file_is_asked_about(wider: SkillRouter) -> None:
    assert isinstance(ask("summarise this contract", PNG, router=wider), Asked)


def test_rules_of_skills_that_are_not_in_the_catalog_are_off() -> None:
    agents = {name: agent for name, agent in shipped_catalog().agents.items() if name != "tts"}
    routed = ask("Read this image aloud", PNG, router=SkillRouter(SkillIndex(Catalog(agents=agents))))
    assert isinstance(routed, Asked)


def test_the_question_names_what_the_mesh_can_do_in_the_callers_language() -> None:
    assert "read a text aloud" in (BRAIN.advance(turn("Read the image")).ask or "")
    assert "прочитать текст вслух" in (BRAIN.advance(turn("Прочитай картинку")).ask or "")


def test_a_named_language_reaches_the_reader() -> None:
    assert only_step(ask("Read this English invoice", PNG))[1]["languages"] == ["en"]
    assert only_step(ask("Прочитай русский текст на картинке", PNG))[1]["languages"] == ["ru"]


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("Read this PDF aloud as MP3", {"format": "mp3"}),
        ("Read this PDF aloud in a British voice", {"voice": "en-gb"}),
        ("Read this document aloud in Russian", {"language": "ru"}),
        ("Прочитай документ вслух медленно", {"speed": 0.75}),
    ],
)
def test_how_to_speak_is_not_what_to_speak(text: str, how: dict[str, Any]) -> None:
    routed = ask(text, PDF)
    assert isinstance(routed, Routed)
    last = routed.plan.steps[-1]
    assert (routed.plan.steps[0].skill, last.skill) == ("document.extract", "tts.speak")
    assert last.input == {"text": {"$ref": "#/steps/merge/output/text"}} | how


def test_words_behind_a_colon_are_spoken_as_they_stand_and_as_asked() -> None:
    ssml = '<speak>Hello <break time="300ms"/> you</speak>'
    assert only_step(ask(f"Read aloud: {ssml}"))[1] == {"text": ssml}
    assert only_step(ask("Read this aloud slowly as mp3: hello"))[1] == {
        "text": "hello",
        "format": "mp3",
        "speed": 0.75,
    }
    assert only_step(ask('Say: "hello"'))[1] == {"text": "hello"}


def attached(name: str, media_type: str = "application/octet-stream") -> FileRef:
    return FileRef(sha256="2" * 64, name=name, media_type=media_type, size=10)


READABLE = [
    *(attached(f"a.{end}") for end in ("csv", "md", "txt", "log", "json", "xml", "tsv", "svg", "yaml")),
    *(attached(f"a.{end}") for end in ("docm", "xlsm", "rtf", "doc", "odt")),
    *(attached(f"a.{end}", "") for end in ("csv", "md", "pptx")),
    attached("a.json", "application/json"),
    attached("a.xml", "application/xml"),
    attached("a.rtf", "application/rtf"),
    attached("a.xls", "application/vnd.ms-excel"),
    attached("a.doc", "application/msword"),
    attached("a.odt", "application/vnd.oasis.opendocument.text"),
    attached("a.docm", "application/vnd.ms-word.document.macroenabled.12"),
    attached("logo.svg", "image/svg+xml"),
    attached("nameless"),
]


@pytest.mark.parametrize("file", READABLE, ids=lambda file: f"{file.name} {file.media_type}")
def test_what_is_no_picture_sound_or_script_is_read_as_a_document(file: FileRef) -> None:
    for text in ("Read this file", "Прочитай файл"):
        assert only_step(ask(text, file)) == ("document.extract", {"file": {"$ref": "#/request/files/0"}})
    for text in ("Read this file aloud", "Прочитай файл вслух"):
        routed = ask(text, file)
        assert isinstance(routed, Routed)
        assert [step.skill for step in routed.plan.steps] == ["document.extract", "tts.speak"]


@pytest.mark.parametrize(
    "file", [attached("a.mp3"), attached("a", "audio/mpeg"), attached("a", "video/mp4"), attached("a.py")]
)
def test_sound_film_and_scripts_are_not_read_as_documents(file: FileRef) -> None:
    assert isinstance(ask("Read this file", file), Asked)


def test_a_drawing_is_a_picture_unless_its_text_is_wanted() -> None:
    drawing = attached("logo.svg", "image/svg+xml")
    assert only_step(ask("How large is this picture?", drawing))[0] == "vision.inspect"
    assert only_step(ask("Read the text in this picture", drawing))[0] == "document.extract"
    routed = ask("Read these pictures", drawing, PNG)
    assert isinstance(routed, Routed)
    assert [step.skill for step in routed.plan.steps] == ["document.extract", "vision.ocr"]


@pytest.mark.parametrize("file", [attached("data.json", "application/json"), attached("d.bin"), attached("d.csv")])
def test_data_reaches_a_script_as_a_file(file: FileRef) -> None:
    step = only_step(ask("Run the script on this data", SOLUTION, file))
    assert step == (
        "code.run",
        {"language": "python", "script": {"$ref": "#/request/files/0"}, "files": [{"$ref": "#/request/files/1"}]},
    )


@pytest.mark.parametrize(
    "text",
    [
        "Extract the text from this PDF, the password is hunter2",
        "open the password protected PDF, the password is hunter2",
        "read this document, password: hunter2",
        "Read the PDF with the password hunter2",
        "Read this PDF aloud with the password hunter2",
        "Read the password-protected PDF aloud (password: hunter2)",
        "read the document. The password for it is hunter2.",
        "Open the PDF; its password is `hunter2`",
        'Read this PDF, password="hunter2"',
        "прочитай документ, пароль: hunter2",
        "открой PDF с паролем hunter2",
        "Прочитай PDF, пароль hunter2",
        "Пароль от документа — hunter2. Прочитай его",
        "Прочитай PDF вслух, пароль: hunter2",
    ],
)
def test_a_password_reaches_the_document(text: str) -> None:
    routed = ask(text, PDF)
    assert isinstance(routed, Routed), routed
    assert routed.plan.steps[0].skill == "document.extract"
    assert routed.plan.steps[0].input["password"] == "hunter2"
    assert (routed.plan.steps[-1].skill == "tts.speak") == any(word in text for word in ("aloud", "вслух"))


@pytest.mark.parametrize(
    "text",
    [
        "open the password protected PDF",
        "Read the password-protected PDF aloud",
        "Read the document, the password is in it",
        "Прочитай защищённый паролем документ",
        "Прочитай PDF с паролем вслух",
    ],
)
def test_a_document_said_to_have_a_password_is_read_without_one(text: str) -> None:
    routed = ask(text, PDF)
    if isinstance(routed, Routed):
        assert "password" not in routed.plan.steps[0].input


def test_a_password_may_hold_marks_and_words_that_cut_a_sentence() -> None:
    routed = ask("Read the PDF, the password is a;b,and.c, and read it aloud", PDF)
    assert isinstance(routed, Routed)
    assert routed.plan.steps[0].input["password"] == "a;b,and.c"
    assert routed.plan.steps[-1].skill == "tts.speak"


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("Read page 2 of this PDF aloud", "2"),
        ("give me the first page of the PDF as text", "1"),
        ("Read pages 2 to 3 of the document", "2-3"),
        ("Read pages 1-4", "1-4"),
        ("Extract the text of pages 1, 3 and 5", "1,3,5"),
        ("read p. 7 of the PDF", "7"),
        ("Read from page 3 to page 5", "3-5"),
        ("Read the first two pages aloud", "1-2"),
        ("Read pages 2-3, the password is x1", "2-3"),
        ("прочитай страницу 2", "2"),
        ("Прочитай страницы 2–5 вслух", "2-5"),
        ("прочитай первую страницу", "1"),
        ("дай текст страниц с 3 по 10 из PDF", "3-10"),
        ("прочитай 2-ю страницу", "2"),
        ("прочитай стр. 3", "3"),
        ("прочитай первые две страницы", "1-2"),
    ],
)
def test_the_pages_wanted_reach_the_document(text: str, pages: str) -> None:
    routed = ask(text, PDF)
    assert isinstance(routed, Routed), routed
    assert routed.plan.steps[0].skill == "document.extract"
    assert routed.plan.steps[0].input["pages"] == pages


@pytest.mark.parametrize("text", ["Read all pages", "Read this page", "How many pages does the document have?"])
def test_a_document_is_read_whole_when_no_pages_are_named(text: str) -> None:
    routed = ask(text, PDF)
    assert isinstance(routed, Routed), routed
    assert "pages" not in routed.plan.steps[0].input


def test_pages_are_counted_off_in_a_document_and_pictures_of_pages_among_the_files() -> None:
    routed = ask("Read the second page", PDF, PDF)
    assert isinstance(routed, Routed), routed
    assert routed.plan.steps[0].input["pages"] == "2"
    assert only_step(ask("Read the second page", PNG, PNG2))[1]["image"] == {"$ref": "#/request/files/1"}


def test_two_pages_read_one_after_the_other_are_two_readings() -> None:
    routed = ask("Read page 2 aloud and then read page 5 aloud", PDF)
    assert isinstance(routed, Routed), routed
    read = [step.input["pages"] for step in routed.plan.steps if step.skill == "document.extract"]
    spoken = [step.input["text"] for step in routed.plan.steps if step.skill == "tts.speak"]
    assert read == ["2", "5"]
    assert spoken == [{"$ref": "#/steps/merge/output/text"}, {"$ref": "#/steps/merge2/output/text"}]


def test_page_numbers_that_shall_be_spoken_stay_as_they_are() -> None:
    assert only_step(ask("Say: pages 1, 2 and 3", PDF))[1] == {"text": "pages 1, 2 and 3"}


def test_a_password_that_shall_be_spoken_is_spoken() -> None:
    assert only_step(ask("Say: the password is hunter2", PDF))[1] == {"text": "the password is hunter2"}
    assert isinstance(ask("Say the password is hunter2", PDF), Asked)


@pytest.mark.parametrize(
    ("text", "files", "skill"),
    [
        ("Are these two pictures the same?", (PNG, PNG2), "vision.compare"),
        ("Extract text and tables", (XLSX,), "document.extract"),
        ("Покажи таблицу из этого файла", (XLSX,), "document.extract"),
        ("What is in this document?", (XLSX,), "document.extract"),
        ("Is there a bug in this code?", (SOLUTION,), "code.check"),
        ("Test my solution with these tests", (SOLUTION, TESTS), "code.test"),
        ("Does my code pass the tests?", (SOLUTION, TESTS), "code.test"),
    ],
)
def test_plausible_wordings_reach_their_skill(text: str, files: tuple[FileRef, ...], skill: str) -> None:
    assert only_step(ask(text, *files))[0] == skill


@pytest.mark.parametrize(
    "text",
    [
        "remove the EXIF data from the photo",
        "Remove the EXIF, GPS and camera data from this picture",
        "make a copy of the photo without private data",
        "strip the location from this image",
        "Strip the location and the metadata from the photo, please",
        "Please delete the photo's GPS coordinates",
        "Give me the photo without metadata",
        "wipe all personal data from it",
        "убери геометку из фото",
        "удали EXIF",
        "Удали с фотографии координаты и личные данные",
        "Очисти снимок от метаданных",
        "сделай копию картинки без личных данных",
    ],
)
def test_a_picture_to_be_cleaned_comes_back_clean(text: str) -> None:
    assert only_step(ask(text, PNG)) == ("vision.inspect", {"image": {"$ref": "#/request/files/0"}, "clean": True})


@pytest.mark.parametrize("text", ["Show the metadata of the photo", "Какой размер у фото?", "Does it have EXIF?"])
def test_a_picture_to_be_looked_at_only_is_not_copied(text: str) -> None:
    assert only_step(ask(text, PNG)) == ("vision.inspect", {"image": {"$ref": "#/request/files/0"}})


def test_cleaning_goes_with_other_work_on_the_picture() -> None:
    routed = ask("Read the text in the photo and remove its EXIF data", PNG)
    assert isinstance(routed, Routed)
    assert [(step.skill, "clean" in step.input) for step in routed.plan.steps] == [
        ("vision.ocr", False),
        ("vision.inspect", True),
    ]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("Delete the photo", (PNG,)),
        ("Удали фото", (PNG,)),
        ("Remove the EXIF data and the cat from the photo", (PNG,)),
        ("Remove the metadata from the PDF", (PNG, PDF)),
        ("Remove the location from the photo if it has one", (PNG,)),
        ("Resize the photo without EXIF", (PNG,)),
        ("remove the EXIF data from the photo", ()),
    ],
)
def test_what_cleaning_does_not_cover_is_asked_about(text: str, files: tuple[FileRef, ...]) -> None:
    assert isinstance(ask(text, *files), Asked)


def test_a_request_too_long_to_be_one_order_is_asked_about() -> None:
    routed = ask("read this image and " * 1000, PNG)
    assert isinstance(routed, Asked)
    assert routed.reason == "too-long"


@given(st.text(max_size=300), st.lists(st.sampled_from([PNG, PDF]), max_size=3))
def test_any_text_gets_a_valid_plan_or_a_question(text: str, files: list[FileRef]) -> None:
    decided = BRAIN.advance(turn(text, tuple(files)))
    assert (decided.ask is None) != (decided.plan is None)


@pytest.mark.parametrize(
    "text",
    [
        "Run `echo one`, then read the output aloud\n```python\nprint(2)\n```",
        "Read the image and show its size\n```sh\necho two\n```",
        "Run one of these:\n```sh\necho one\n```\n```sh\necho two\n```",
        "Run `wc -l` on `notes of mine`",
        "Run anything except `rm -rf x`",
        "Запусти всё кроме `rm -rf x`",
    ],
)
def test_code_that_no_step_would_hold_is_asked_about(text: str) -> None:
    assert isinstance(ask(text, PNG), Asked)


def test_forbidden_code_is_not_run_though_it_is_listed() -> None:
    routed = ask("Run `echo one`, do not run `echo two` and `echo three`")
    assert only_step(routed)[1]["source"] == "echo one"


def answered(text: str, reply: str, *files: FileRef) -> Routed | Asked:
    return ROUTER.route(Admitted(text=text, replies=(reply,), files=files, language="en"))


def test_code_of_the_request_is_run_when_the_answer_says_so() -> None:
    assert only_step(answered("Do this:\n```sh\necho one\n```", "Run it"))[1]["source"] == "echo one"


def test_code_of_the_request_is_not_added_to_words_the_answer_wants_spoken() -> None:
    assert only_step(answered("Do this:\n```sh\necho one\n```", "Say: hello"))[1] == {"text": "hello"}


def test_an_answer_that_leaves_the_code_aside_is_followed() -> None:
    assert only_step(answered("Explain `echo one`", "Just read the image", PNG))[0] == "vision.ocr"


_PROSE = (
    "read run say aloud this its output image script and then or not the second result says: : , . прочитай вслух "
    "запусти озвучь вывод скажи: не или текст картинку"
)
_CODE = st.sampled_from(["echo one", "print(2)", "ls -la", "say it", "a 'b' c", 'echo "x y"'])
_PIECE = st.one_of(
    st.sampled_from([*_PROSE.split(), "Read aloud:", "Run this and read its output aloud:\n", "\n", "`", '"', "«"]),
    st.sampled_from(["\x02C0\x03", "\x02", "\x03", "\x02Q7\x03"]),
    st.builds("`{}`".format, _CODE),
    st.builds("\n```{}\n{}\n```\n".format, st.sampled_from(["", "python", "sh"]), _CODE),
    st.builds("«words {}»".format, st.builds("`{}`".format, _CODE)),
    st.builds('"words {}"'.format, _CODE),
)


@settings(max_examples=500)
@given(st.lists(_PIECE, max_size=12), st.lists(st.sampled_from([PNG, PDF]), max_size=2))
def test_no_mark_of_a_lifted_literal_reaches_a_plan(pieces: list[str], files: list[FileRef]) -> None:
    text = " ".join(pieces)
    routed = ask(text, *files)
    if isinstance(routed, Routed):
        inputs = json.dumps([step.input for step in routed.plan.steps])
        assert "u0002" not in inputs
        assert "u0003" not in inputs
        # Only a request that itself wrote such letters may get them back.
        assert re.search(r"[CQ]\d", text) or not re.search(r"[CQ]\d", inputs)


_SCRIPT_LINES = st.lists(st.integers(0, 99).map("echo {}".format), min_size=1, max_size=4, unique=True)
_ORDERS = ("Run this:", "Run", "Запусти", "Run this and read its output aloud:", "Read aloud the output of this:")


@given(st.sampled_from(_ORDERS), _SCRIPT_LINES, st.booleans())
def test_every_script_of_an_order_is_run_or_asked_about(order: str, scripts: list[str], fenced: bool) -> None:
    listed = "".join(f"\n```sh\n{s}\n```\n" for s in scripts) if fenced else " and ".join(f"`{s}`" for s in scripts)
    routed = ask(f"{order} {listed}")
    if isinstance(routed, Routed):
        assert [s.input["source"] for s in routed.plan.steps if s.skill == "code.run"] == scripts
    else:
        assert len(scripts) > 1


_JUMBLE = (
    "read run say aloud this image script text then and result , . : « » ` ``` прочитай запусти озвучь картинку "
    "скрипт вслух его потом результат second first both size"
)
_WORDS = st.sampled_from([*_JUMBLE.split(), "\n"])


@given(st.lists(_WORDS, max_size=25), st.lists(st.sampled_from([PNG, PDF]), max_size=3))
def test_any_jumble_of_orders_gets_a_valid_plan_or_a_question(words: list[str], files: list[FileRef]) -> None:
    request = turn(" ".join(words), tuple(files))
    decided = BRAIN.advance(request)
    assert (decided.ask is None) != (decided.plan is None)
    for dispatch in decided.dispatch:
        assert not list(walk(dispatch.input))
