"""What stands in English text as digits and abbreviations is said in words."""

import pytest

from concilium.workers.tts.words import spell_out

NUMBERS = [
    ("0", "zero"),
    ("12", "twelve"),
    ("1,234,567", "one million two hundred and thirty-four thousand five hundred and sixty-seven"),
    ("3.14", "three point one four"),
    ("0.50", "zero point five zero"),
    (".5 of it", "point five of it"),
    ("it is -5", "it is minus five"),
    ("5 - 3", "five minus three"),
    ("10-20", "ten to twenty"),
    ("1/2", "one half"),
    ("3/4", "three quarters"),
    ("2/3", "two thirds"),
    ("1 1/2", "one and a half"),
    ("½ cup", "one half cup"),
    ("21st", "twenty-first"),
    ("the 102nd", "the one hundred and second"),
    ("agent 007", "agent zero zero seven"),
    ("version 1.2.3", "version one point two point three"),
    ("٣ apples", "three apples"),
    ("COVID-19", "COVID nineteen"),
    ("A4 paper", "A four paper"),
    ("won 3:1", "won three to one"),
]
DATES = [
    ("2024-03-05", "March fifth, twenty twenty-four"),
    ("on 5 March 2024", "on the fifth of March, twenty twenty-four"),
    ("the 5th of March", "the fifth of March"),
    ("March 5, 2024", "March fifth, twenty twenty-four"),
    ("Mar. 5th", "March fifth"),
    ("March 2005", "March two thousand and five"),
    ("12/25/1999", "December twenty-fifth, nineteen ninety-nine"),
    ("25/12/1999", "December twenty-fifth, nineteen ninety-nine"),
    ("5.3.2024", "March fifth, twenty twenty-four"),
    ("June 5-7", "June fifth to seventh"),
    ("in 1905", "in nineteen oh five"),
    ("1941-1945", "nineteen forty-one to nineteen forty-five"),
    ("the 1990s", "the nineteen nineties"),
    ("the 80s", "the eighties"),
    ("14:30", "fourteen thirty"),
    ("9:05 a.m. today", "nine oh five A M today"),
    ("at 9:00", "at nine o'clock"),
    ("at 5 pm", "at five P M"),
    ("99/99/2024", "ninety-nine slash ninety-nine slash two thousand and twenty-four"),
]
AMOUNTS = [
    ("$3.50", "three dollars and fifty cents"),
    ("$1", "one dollar"),
    ("$0.99", "ninety-nine cents"),
    ("£1.01", "one pound and one penny"),
    ("-$5", "minus five dollars"),
    ("$1.5 million", "one point five million dollars"),
    ("€2bn", "two billion euros"),
    ("1,200 USD", "one thousand two hundred dollars"),
    ("100 ₽", "one hundred rubles"),
    ("$5-10", "five to ten dollars"),
    ("12.5%", "twelve point five percent"),
    ("1 km", "one kilometer"),
    ("5 km", "five kilometers"),
    ("5-10 kg", "five to ten kilograms"),
    ("100 km/h", "one hundred kilometers per hour"),
    ("-3 °C", "minus three degrees Celsius"),
    ("5 m²", "five square meters"),
    ("20 Mbps", "twenty megabits per second"),
    ("1 sq ft", "one square foot"),
    ("64 GB", "sixty-four gigabytes"),
]
STRINGS = [
    ("+1 (555) 123-4567", "plus one, five five five, one two three, four five six seven"),
    ("call 555-1234", "call five five five, one two three four"),
    ("dial 911", "dial nine one one"),
    ("4111 1111 1111 1111", "four one one one, one one one one, one one one one, one one one one"),
    ("1234567890123456", "one two three four five six seven eight nine zero one two three four five six"),
]
SHORT = [
    ("Mr. Smith", "Mister Smith"),
    ("Dr. Jones vs. Mrs. Brown", "Doctor Jones versus Missus Brown"),
    ("e.g. this, i.e. that", "for example this, that is that"),
    ("and so on etc.", "and so on et cetera."),
    ("St. Paul lived in Elm St. then", "Saint Paul lived in Elm Street then"),
    ("No. 5, pp. 7", "number five, pages seven"),
    ("No. I will not", "No. I will not"),
    ("HTML and USA", "H T M L and U S A"),
    ("NASA", "NASA"),
    ("Louis XIV", "Louis the fourteenth"),
    ("Chapter IV", "Chapter four"),
    ("World War II", "World War two"),
    ("A & B = C", "A and B equals C"),
    ("you@example.com", "you at example.com"),
]


@pytest.mark.parametrize(("text", "said"), [*NUMBERS, *DATES, *AMOUNTS, *STRINGS, *SHORT])
def test_english_is_said_in_words(text: str, said: str) -> None:
    assert spell_out(text, "en") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Tell Peter I will be late.", "Tell Peter I will be late."),
        ("For my part I think so.", "For my part I think so."),
        ("In part I’ve agreed.", "In part I’ve agreed."),
        ("Elizabeth I reigned.", "Elizabeth the first reigned."),
        ("See part II.", "See part two."),
    ],
)
def test_a_speaker_is_no_numeral(text: str, said: str) -> None:
    assert spell_out(text, "en") == said
