"""The words rules look for, in English and Russian. Every pattern reads one clause in lower case with ё as е."""

import re


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives))


SPEAK = _any(
    r"\b(?:aloud|out loud)\b",
    r"\b(?:speak|voice|narrate|pronounce|recite|vocali[sz]e|listen to)\b",
    r"\b(?:to|into) (?:speech|audio|voice)\b|\b(?:audio|speech|voice|spoken) (?:file|recording|version|message)\b",
    r"\b(?:make|generate|create|synthesi[sz]e) (?:an? |the )?(?:audio|speech|wav)\b|\btext.to.speech\b|\btts\b",
    r"\bвслух\b|озвуч|произнес|проговор|зачита|голосом|послушать|синтезируй|\bв речь\b|\bв аудио\b|\bаудио",
)
"""Says that something is to be heard, whatever else the clause says."""

SPEAK_WEAK = _any(
    r"^(?:please |and |then |also |finally |now |third |lastly )*(?:say|read (?:it|that|this|them)? ?(?:back )?to)\b",
    r"\bread me\b",
    r"\b(?:скажи|скажите)\b",
)

RUN = _any(
    r"\b(?:run|execute|launch|exec)\b",
    r"\b(?:try|test|evaluate|compute)\b.*(?:\bcode\b|\bscript\b|\bprogram\b|\x02c)",
    r"\b(?:feed|pipe|pass|give|send|put|hand)\b.*\b(?:to|into|through) .*\b(?:script|program|code|it|\w+\.(?:py|sh))\b",
    r"\bwhat (?:does|will|would) .*\b(?:print|output)\b",
    r"запус[тк]|\b(?:вы|ис)полн|прогон|скорм",
    r"\b(?:передай|подай|пропусти|отправь)\b.*(?:скрипт|программ|код)",
    r"что .*(?:выведет|напечатает|выводит)",
    r"\bпосчитай\b.*\bкод",
)

OCR_ASKS = _any(
    r"\bwhat (?:do|does|did|is|are) .*\b(?:says?|written|printed|reads?)\b",
    r"\bwhat (?:it|they|this|that|the \w+) says?\b",
    r"\bwhat (?:is|'s) (?:written|printed)\b|\bwhat text\b",
    r"\bчто .*(?:написано|напечатано)\b|\bкакой текст\b",
)

OCR = _any(
    r"\b(?:read|ocr|transcribe|digiti[sz]e|recogni[sz]e|scan)\b",
    r"\b(?:extract|get|copy|pull|grab|take|need|give|want|show|turn)\b.*\b(?:text|words?|printed|written|lettering)\b",
    r"\b(?:прочита|прочит|прочти|прочесть|распозна|оцифр|считай\b)",
    r"(?:извлек|вытащ|достан|перепиш|скопир|нужен|нужно|дай|покажи|extract).*(?:текст|надпис|\btext\b|написан)",
)

INSPECT = _any(
    r"\b(?:dimensions?|metadata|resolution|dpi|width|height|inspect|exif|transparency|alpha channel)\b",
    r"\b(?:size|format|orientation)\b|\bhow (?:big|large|wide|tall|many (?:bytes|pixels|frames))\b",
    r"\bcolou?r (?:mode|space)\b|\b(?:main|dominant|which|what) colou?rs\b|\bimage properties\b",
    r"\b(?:png|jpe?g|gif|webp|tiff)\b.*\b(?:or|или)\b.*\b(?:png|jpe?g|gif|webp|tiff)\b",
    r"размер|метаданн|разрешени|формат|ширин|высот|параметр|ориентаци|цветов|прозрачн",
    r"\bсвойств|сколько (?:байт|пиксел|кадр|весит)",
)

IMAGE = _any(
    r"\b(?:images?|pictures?|photo(?:graph)?s?|scans?|screenshots?|invoices?|receipts?|bill|letter|sign|page|label)\b",
    r"\b(?:png|jpe?g|webp|tiff?)\b",
    r"картин|изображени|фото|\bскан(?!ир)|скриншот|\bсчет|\bчек|\bписьм|квитанц|снимк|снимок|вывеск|страниц|визитк",
)

SCRIPT = _any(
    r"\b(?:scripts?|code|programs?|snippet|command|\w+\.(?:py|sh))\b",
    r"скрипт|\bкод|программ|команд",
)

TEXT = _any(r"\b(?:text|words|contents?)\b", r"текст|надпис|содержим|написан")

RESULT = _any(
    r"\b(?:results?|output|answer|it|that|them|this)\b|\bwhat (?:it|they) (?:prints?|printed|says?|said)\b",
    r"результат|вывод|ответ|\b(?:его|ее|их|это|этого)\b|что получ",
)

PRINTED = _any(r"\b(?:results?|output|answer)\b|\bprint(?:s|ed)?\b", r"результат|вывод|ответ|выведет|напечата")

SHOW = _any(
    r"^(?:please |then |also |just )*(?:show|tell|give|return|print|display|let)\b",
    r"^(?:пожалуйста |потом |и )*(?:покажи|верни|выведи|дай|скажи)",
)
"""With `PRINTED`: asks for what a step returns anyway."""

SEPARATELY = _any(
    r"\b(?:separate(?:ly)?|independent(?:ly)?|in parallel|at the same time|meanwhile|also|besides)\b",
    r"отдельно|независимо|параллельно|одновременно|\bтакже\b|\bеще\b",
)

BEYOND = _any(
    r"\b(?:translate|delete|remove|e-?mail|summari[sz]e|rename|resize|crop|compare|upload|download|install)\b",
    r"\b(?:if|unless|whenever|until|twice|repeatedly)\b|\b\w+ times\b",
    r"\bevery (?:second|minute|hour|day|week|month)\b",
    r"перевед[иу]|удали|сотри|перешли|переименуй|сравни|уменьш|увелич|обреж|загрузи|скачай|установи",
    r"\bесли\b|\bпока не\b|кажд(?:ый|ую|ые) (?:день|час|минут|недел|раз)|\bдважды\b|\b\w+ раз(?:а)?\b",
)
"""Orders no rule carries out: foreign verbs, conditions, repetition. A clause with one is asked about."""

FIRST_FEW = _any(r"\bfirst (?:two|three|few|\d+)\b", r"\bперв(?:ые|ых) (?:две|два|три|двух|трех|несколько|\d+)")

NEGATED = _any(
    r"^(?:but |and |please )?(?:do not|don't|never|not|without|except)\b",
    r"^(?:but |and |please )?ignore the (?!above|previous|prior|rules|instructions)",
    r"^(?:но |а |и )?(?:не|без|кроме|никогда не)\b",
)
"""A clause that only forbids; nothing is done for it."""

CONTEXT = _any(
    r"^(?:i|i'm|i've|my|we|our|here (?:is|are)|this is|there is|hello|hi|hey|dear|thanks|thank you|please|ok|okay)\b",
    r"^(?:я|мне|у меня|мой|моя|мы|вот|это|здравствуй|привет|добрый|спасибо|пожалуйста|ладно)",
)
"""A clause that tells and orders nothing; ignored beside one that orders."""

CHOICE = _any(
    r"\b(?:or|either|one of|any of|instead of|rather than)\b",
    r"\b(?:или|либо|вместо)\b|\b(?:один|одну|любой|любую) из\b",
)
"""Says that of several scripts not all are meant."""

EXCEPTED = _any(r"\b(?:without|except|not|never|avoid|don't)\b", r"\b(?:без|кроме|не)\b")
"""Beside code in a clause: perhaps the code is what shall not run."""

ALL = _any(r"\b(?:both|all|each|every|two|three)\b", r"\b(?:обе|оба|обо|все|всех|кажд|две|два|три)")

ORDINALS = (
    _any(r"\bfirst\b|\b1st\b", r"\bперв(?!ым делом)"),
    _any(r"\bsecond\b|\b2nd\b", r"\bвтор"),
    _any(r"\bthird\b|\b3rd\b", r"\bтрет"),
    _any(r"\bfourth\b|\b4th\b", r"\bчетверт"),
)
LAST = _any(r"\blast (?:one|image|picture|photo|file)\b", r"\bпоследн")

LAST_SCRIPT = _any(r"\blast\b", r"\bпоследн")

LANGUAGES = {"en": _any(r"\benglish\b", r"английск"), "ru": _any(r"\brussian\b", r"русск")}
"""A language the clause names; the reader is told."""

ITSELF = _any(r"\b(?:file|image|picture) itself\b|\bimage file\b", r"\bсам(?:ом|о|у)? (?:файл|изображени|картин)")
"""The script wants the image's bytes, not its text."""

SPEAK_PREFIX = re.compile(
    r"^.*?\b(?:say|speak|voice|pronounce|narrate|aloud|out loud|скажи(?:те)?|озвучь(?:те)?|произнеси(?:те)?|вслух"
    r"|проговори|зачитай)\b[\s:,-]*",
    re.IGNORECASE | re.DOTALL,
)
"""What precedes the words to be spoken when neither colon nor quotes mark them."""

DEICTIC = _any(
    r"^(?:the |this |that |these |those |it\b|what |its |me\b|my |them\b|attached|text\b|result|output|answer)",
    r"^(?:эт|то\b|то,|текст|результат|вывод|ответ|его\b|ее\b|их\b|что\b|все\b|мне\b|из\b|на\b|приложен|аудио|файл|как)",
)
"""Words after a speaking verb that point at something instead of being the words to speak."""
