"""SSML: what is understood, what is refused, and what merely looks like it."""

import time

import pytest

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.script import pieces_of
from concilium.workers.tts.ssml import Pause, Piece, Speech, Style
from unit.tts.conftest import Say, samples_of


def read(inner: str, attributes: str = "") -> list[Piece]:
    return pieces_of(f"<speak{attributes}>{inner}</speak>", "auto")


def test_text_in_one_style_stays_together() -> None:
    assert read("Hello <sub alias='world wide web'>WWW</sub>, <say-as interpret-as='characters'>ab1</say-as>!") == [
        Speech("Hello world wide web,  A, B, one !")
    ]


@pytest.mark.parametrize(
    ("inner", "seconds"),
    [
        ("<break time='500ms'/>", 0.5),
        ("<break time='2s'/>", 2.0),
        ("<break time='1.5s'/>", 1.5),
        ("<break/>", 0.4),
        ("<break strength='none'/>", 0.0),
        ("<break strength='x-strong'/>", 1.2),
    ],
)
def test_a_break_is_a_pause(inner: str, seconds: float) -> None:
    assert read(f"a {inner} b")[1] == Pause(seconds)


@pytest.mark.parametrize(
    ("inner", "style"),
    [
        ("<prosody rate='slow'>x</prosody>", Style(speed=0.75)),
        ("<prosody rate='120%'>x</prosody>", Style(speed=1.2)),
        ("<prosody rate='+20%'>x</prosody>", Style(speed=1.2)),
        ("<prosody rate='1.5'>x</prosody>", Style(speed=1.5)),
        ("<prosody rate='900%'>x</prosody>", Style(speed=2.0)),
        ("<prosody pitch='high'>x</prosody>", Style(pitch=1.15)),
        ("<prosody pitch='-10%'>x</prosody>", Style(pitch=0.9)),
        ("<prosody pitch='+12st'>x</prosody>", Style(pitch=2.0)),
        ("<prosody volume='-6dB'>x</prosody>", Style(volume_db=-6.0)),
        ("<prosody rate='slow'><prosody rate='fast'>x</prosody></prosody>", Style(speed=0.75 * 1.25)),
        ("<emphasis>x</emphasis>", Style(speed=0.94, pitch=1.06, volume_db=1.5)),
        ("<emphasis level='none'>x</emphasis>", Style()),
        ("<lang xml:lang='ru-RU'>x</lang>", Style(language="ru")),
        ("<voice name='en-gb'>x</voice>", Style(voice="en-gb")),
        ("<voice xml:lang='ru'>x</voice>", Style(language="ru")),
    ],
)
def test_an_element_changes_the_style_of_what_it_holds(inner: str, style: Style) -> None:
    assert read(f"{inner} y") == ([Speech("x", style), Speech("y")] if style != Style() else [Speech("x y")])


@pytest.mark.parametrize(
    ("inner", "language", "said"),
    [
        ("<say-as interpret-as='digits'>2024</say-as>", "en", "two zero two four"),
        ("<say-as interpret-as='telephone'>+1 55</say-as>", "en", "plus one, five five"),
        ("<say-as interpret-as='ordinal'>3</say-as>", "en", "third"),
        ("<say-as interpret-as='cardinal'>12,000</say-as>", "en", "twelve thousand"),
        ("<say-as interpret-as='date' format='dmy'>1/2/2024</say-as>", "en", "February first, twenty twenty-four"),
        ("<say-as interpret-as='date' format='mdy'>1/2/2024</say-as>", "en", "January second, twenty twenty-four"),
        ("<say-as interpret-as='characters'>РФ1</say-as>", "ru", "эр, эф, один"),
        ("<say-as interpret-as='ordinal'>3</say-as>", "ru", "третий"),
        ("<say-as interpret-as='digits'>05</say-as>", "ru", "ноль пять"),
    ],
)
def test_say_as_chooses_how_digits_are_read(inner: str, language: str, said: str) -> None:
    (piece,) = read(inner, f" xml:lang='{language}'")
    assert isinstance(piece, Speech)
    assert piece.text.strip() == said


def test_the_namespace_and_a_declaration_are_fine() -> None:
    space = "http://www.w3.org/2001/10/synthesis"
    text = f'<?xml version="1.0"?>\n<speak version="1.1" xmlns="{space}" xml:lang="en">x</speak>'
    assert pieces_of(text, "auto") == [Speech("x", Style(language="en"))]


def test_paragraphs_and_sentences_end_what_is_said() -> None:
    (speech, pause) = read("<p><s>One</s><s>two</s></p>")
    assert isinstance(speech, Speech)
    assert speech.text.split("\n") == ["One", "", "two"]
    assert pause == Pause(0.4)


BOMB = "".join(f'<!ENTITY {b} "&{a};&{a};&{a};&{a};">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f'<!DOCTYPE speak [<!ENTITY a "lol">{BOMB}]><speak>&j;</speak>', "ssml-forbidden"),
        ('<!DOCTYPE speak [<!ENTITY x SYSTEM "file:///etc/passwd">]><speak>&x;</speak>', "ssml-forbidden"),
        ('<!DOCTYPE speak SYSTEM "http://localhost/x.dtd"><speak>x</speak>', "ssml-forbidden"),
        ("<?xml version='1.0'?><!DOCTYPE speak><speak>x</speak>", "ssml-forbidden"),
        ("<speak>&undefined;</speak>", "bad-ssml: not well-formed"),
        ("<speak>a<b></speak>", "bad-ssml: not well-formed"),
        ("<speak><audio src='http://localhost/x'/></speak>", "bad-ssml: <audio> is not supported; supported are break"),
        ("<speak><lexicon uri='x'/></speak>", "bad-ssml: <lexicon> is not supported"),
        ("<speak><x:y xmlns:x='urn:x'>a</x:y></speak>", "bad-ssml: <{urn:x}y> is not supported"),
        ("<speak><break time='99s'/></speak>", "bad-ssml: time '99s' is no time up to 10 s"),
        ("<speak><break time='soon'/></speak>", "bad-ssml: time 'soon'"),
        ("<speak><prosody range='x'>a</prosody></speak>", "bad-ssml: <prosody> has no attribute 'range'"),
        ("<speak><prosody pitch='200Hz'>a</prosody></speak>", "bad-ssml: pitch '200Hz'"),
        ("<speak><prosody rate='-100%'>a</prosody></speak>", "bad-ssml: rate '-100%'"),
        ("<speak><say-as interpret-as='magic'>a</say-as></speak>", "bad-ssml: interpret-as 'magic'"),
        ("<speak><say-as>a</say-as></speak>", "bad-ssml: <say-as> needs"),
        ("<speak><lang xml:lang='de'>a</lang></speak>", "bad-ssml: xml:lang 'de'"),
        (f"<speak>{'<p>' * 40}x{'</p>' * 40}</speak>", "bad-ssml: elements are nested more than 32 deep"),
        ("<speak><voice name='zzz'>a</voice></speak>", "unknown-voice"),
    ],
)
async def test_what_is_wrong_or_dangerous_is_refused_clearly(say: Say, text: str, kind: str) -> None:
    with pytest.raises(SkillFailed) as failed:
        await say(text=text)
    assert str(failed.value).startswith(kind)


@pytest.mark.parametrize(
    "text",
    [
        "<speaker>hello</speaker>",
        "if a < b and b > c then <stop>",
        "<p>hello</p>",
        '<break time="9s"/>hello',
        "he wrote <speak> and stopped",
        "<html><speak>x</speak></html>",
    ],
)
def test_text_that_merely_looks_like_markup_stays_text(text: str) -> None:
    assert pieces_of(text, "auto") == [Speech(text)]


def test_ssml_can_be_asked_to_be_read_as_text() -> None:
    assert pieces_of("<speak>x</speak>", "text") == [Speech("<speak>x</speak>")]


async def test_plain_text_is_no_ssml_when_ssml_was_asked_for(say: Say) -> None:
    with pytest.raises(SkillFailed, match="bad-ssml"):
        await say(text="hello", markup="ssml")


@pytest.mark.parametrize(
    "text", ["<!---->" * 14000, "<!--" * 25000, "<speak>" * 14000, "<?xml" * 20000, "." + " " * 99_000]
)
def test_hostile_markup_is_judged_quickly(text: str) -> None:
    began = time.process_time()
    assert pieces_of(text, "auto") == [Speech(text.strip())]
    assert time.process_time() - began < 2


def test_a_comment_before_the_root_is_fine() -> None:
    assert pieces_of("<!-- a --> <!-- b --><speak>x</speak>", "auto") == [Speech("x")]


async def test_breaks_prosody_and_volume_are_heard(say: Say) -> None:
    plain = await say(text="<speak>hello world</speak>")
    paused = await say(text="<speak>hello <break time='2s'/> world</speak>")
    slow = await say(text="<speak><prosody rate='50%'>hello world</prosody></speak>")
    soft = await say(text="<speak><prosody volume='-12dB'>hello world</prosody></speak>")
    assert paused.output["duration_s"] > plain.output["duration_s"] + 1.9
    assert slow.output["duration_s"] > 1.5 * plain.output["duration_s"]
    loud, quiet = ((samples_of(result)[1] ** 2).mean() ** 0.5 for result in (plain, soft))
    assert quiet / loud == pytest.approx(10 ** (-12 / 20), rel=0.05)


async def test_an_element_can_change_voice_and_language(say: Say) -> None:
    text = "<speak>One <voice name='en-gb'>two</voice> <lang xml:lang='ru'>три 4</lang></speak>"
    assert (await say(text=text)).output["voice"] == "en-us+en-gb+ru"
