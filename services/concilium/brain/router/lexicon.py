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
    r"\b(?:count|compute|calculate|process|convert|sort|filter)\b.*"
    r"\b(?:with|using|by) (?:this|the|my) .*(?:code|script|program)",
    r"запус[тк]|\b(?:вы|ис)полн|прогон|скорм",
    r"\b(?:передай|подай|пропусти|отправь)\b.*(?:скрипт|программ|код)",
    r"что .*(?:выведет|напечатает|выводит)",
    r"\bпосчитай\b.*\bкод",
)

OCR_ASKS = _any(
    r"\bwhat (?:do|does|did|is|are) .*\b(?:says?|written|printed|reads?)\b",
    r"\bwhat (?:it|they|this|that|the \w+) says?\b",
    r"\bwhat (?:is|'s) (?:written|printed)\b|\bwhat text\b",
    r"\bwhat(?:'s| is) in (?:this|that|the|my) (?:document|pdf|file|letter|e-?mail|contract|report|spreadsheet)\b",
    r"\bчто в (?:эт\w+ )?(?:документ|файл|письм|договор|отчет|таблиц)",
    r"\bчто .*(?:написано|напечатано)\b|\bкакой текст\b",
)

OCR = _any(
    r"\b(?:read|ocr|transcribe|digiti[sz]e|recogni[sz]e|scan)\b",
    r"\b(?:extract|get|copy|pull|grab|take|need|give|want|show|turn)\b.*\b(?:text|words?|printed|written|lettering)\b",
    r"\b(?:прочита|прочит|прочти|прочесть|распозна|оцифр|считай\b)",
    r"(?:извлек|вытащ|достан|перепиш|скопир|нужен|нужно|дай|покажи|extract).*(?:текст|надпис|\btext\b|написан)",
    r"\b(?:extract|get|pull|take|show|give)\b.*\b(?:tables?|contents?)\b",
    r"(?:извлек|вытащ|достан|покажи|дай).*(?:таблиц|содержим)",
)

INSPECT = _any(
    r"\b(?:dimensions?|metadata|resolution|dpi|width|height|inspect|exif|transparency|alpha channel)\b",
    r"\b(?:size|format|orientation)\b|\bhow (?:big|large|wide|tall|many (?:bytes|pixels|frames))\b",
    r"\bcolou?r (?:mode|space)\b|\b(?:main|dominant|which|what) colou?rs\b|\bimage properties\b",
    r"\b(?:png|jpe?g|gif|webp|tiff)\b.*\b(?:or|или)\b.*\b(?:png|jpe?g|gif|webp|tiff)\b",
    r"размер|метаданн|разрешени|формат|ширин|высот|параметр|ориентаци|цветов|прозрачн",
    r"\bсвойств|сколько (?:байт|пиксел|кадр|весит)",
)

_PRIVATE = (
    r"(?:exif|meta-?data|gps|geo-?(?:tags?|data|location)|locations?|coordinates|camera data"
    r"|(?:private|personal) (?:data|info\w*)"
    r"|метаданн\w*|геометк\w*|геотег\w*|геоданн\w*|геолокаци\w*|координат\w*|местоположени\w*|жпс"
    r"|(?:личн|приватн|персональн)\w+ (?:данн|информаци|сведени)\w*)"
)
CLEAN = _any(
    rf"\b(?:remove|strip|erase|delete|clear|wipe|scrub|clean|drop|get rid of)\b.*?\b{_PRIVATE}(?: data\b)?",
    rf"\b(?:copy|version)\b.*?\bwithout\b.*?\b{_PRIVATE}",
    rf"\b(?:make|give|save|send|return|get|need|want)\b.*?\b(?:image|picture|photo|file)\b.*?\bwithout\b.*?\b{_PRIVATE}",
    r"\bclean(?:ed)?(?: up)? (?:copy|version|photo|picture|image)\b",
    rf"(?:\bубра|\bубер|\bудал|\bсотр|\bстер|очист|\bвычист|\bпочист|\bвыреж|\bсним)\w*\b.*?\b{_PRIVATE}",
    rf"\b(?:копи|верси|фото|картинк|изображени|снимок|файл)\w*\b.*?\bбез\b.*?\b{_PRIVATE}",
    r"очищенн\w+ (?:копи|верси|фото|картинк|изображени|файл)",
)
"""Wants a copy of a picture without what it tells of place, time, device and owner."""

MORE_TO_CLEAN = re.compile(
    rf"(?:(?:the|all|any|its|other|also|все|всю|весь|ее|его) )*{_PRIVATE}(?: data| info\w*)?"
    r"(?: (?:from|in|of|out of|из|с|со|на|у) .*)?"
)
"""A clause behind one that cleans: what else goes, which cleaning takes off anyway."""

DESCRIBE = _any(
    r"\bdescri(?:be|ption)\b|\bcaption\b",
    r"\bwhat (?:can you|do you) see\b|\bwhat(?:'s| is| are) (?:shown|depicted|in|on) (?:the|this|that|these|my) ",
    r"\bопиши\b|\bописани|что (?:изображен|видно|ты видишь|на (?:фото|картинк|снимк|изображени|рисунк))",
)
"""Says what a picture shows. With `RESULT` words alone it means a description made before."""

ASK = _any(
    r"^(?:and )?(?:how many|is there|are there|who|where|which|what|does|do|is|are|can you see|has|have)\b",
    r"^(?:а |и )?(?:сколько|есть ли|кто|где|как(?:ой|ая|ое|ие|ого)|что|чем|видно ли|виден ли)\b",
)
"""With `IMAGE`: a question about a picture."""

COMPARE = _any(
    r"\bcompare\b|\bdiffer(?:s|ent|ences?)?\b|\b(?:same|identical|alike)\b",
    r"\bсравни|\bотлича|\bразлич|\bодинаков|\bсовпада",
)
"""With `IMAGE` and two pictures: how alike they are."""

BARCODE = _any(r"\bqr\b|\bbar ?codes?\b", r"\bqr\b|\bкуар|штрих-?код")

CHECK = _any(
    r"\blint(?:er)?\b|\bsyntax\b",
    r"\b(?:check|review|validate)\b.*(?:\bcode\b|\bscript\b|\bsnippet\b|\bprogram\b|\x02c)(?!.*\bworks?\b)",
    r"\b(?:bugs?|mistakes?|errors?)\b.*(?:\bcode\b|\bscript\b|\bsnippet\b|\bprogram\b)",
    r"(?:ошибк|баг)\w* .*(?:\bкод|скрипт|программ)",
    r"линтер|синтаксис|проверь.*(?:\bкод|скрипт|программ|\x02c)(?!.*работает)",
)

TESTS = _any(
    r"\b(?:run|execute|try)\b.*\btests?\b(?! script)|\bpytest\b|\bunit tests?\b",
    r"\btest\b.*\bwith\b.*\btests\b|\bpass(?:es)?\b.*\btests\b",
    r"(?:запусти|прогони|выполни).*\bтест|\bпайтест|\bпроход(?:ит|ят)\b.*\bтест",
)

GENERATE = _any(
    r"^(?:write|create|implement|generate|program|code)\b.*\b(?:functions?|scripts?|programs?|class|code|module)\b",
    r"^(?:напиши|создай|реализуй|сгенерируй)\b.*(?:функци|скрипт|программ|класс|\bкод|модул)",
)

VOICES = _any(
    r"\b(?:which|what|list|show|how many)\b.*\bvoices\b|\bvoices\b.*\b(?:have|available|exist)\b",
    r"(?:как|список|покажи|сколько|перечисли).*\bголос(?:а|ов)\b",
)

IMAGE = _any(
    r"\b(?:images?|pictures?|photo(?:graph)?s?|scans?|screenshots?|invoices?|receipts?|bill|letter|sign|page|label)\b",
    r"\b(?:png|jpe?g|webp|tiff?)\b",
    r"картин|изображени|фото|\bскан(?!ир)|скриншот|\bсчет|\bчек|\bписьм|квитанц|снимк|снимок|вывеск|страниц|визитк",
)

DOCUMENT = _any(
    r"\b(?:documents?|pdfs?|docx?|xlsx?|html|e-?mails?|spreadsheets?|contracts?|reports?|articles?|papers?|books?|manuals?)\b",
    r"\b(?:csv|text files?|letters?|invoices?|receipts?|pages?)\b",
    r"документ|\bпдф\b|договор|отчет|стать|книг|таблиц|инструкци|реферат|\bписьм|\bсчет|страниц|текстов\w+ файл",
)
"""A file that may hold pages of text. Letters, invoices and pages are images too."""

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
    r"\be-?mail (?:it|me|us|him|her|them|this|that|the|my)\b",
    r"\b(?:translate|delete|remove|summari[sz]e|rename|resize|crop|upload|download|install)\b",
    r"\b(?:if|unless|whenever|until|twice|repeatedly)\b|\b\w+ times\b",
    r"\bevery (?:second|minute|hour|day|week|month)\b",
    r"перевед[иу]|удали|сотри|перешли|переименуй|уменьш|увелич|обреж|загрузи|скачай|установи",
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
    r"^(?:the |this |that |these |those |it\b|what |its |me\b|my |them\b|attached|text\b|result|output|answer|descr)",
    r"^(?:эт|то\b|то,|текст|описани|результат|вывод|ответ|его\b|ее\b|их\b|что\b|все\b|мне\b|из\b|на\b|приложен|аудио|файл|как)",
)
"""Words after a speaking verb that point at something instead of being the words to speak."""

SPOKEN_HOW: tuple[tuple[str, str | float, re.Pattern[str]], ...] = (
    ("format", "mp3", _any(r"\bmp-?3\b")),
    ("format", "ogg", _any(r"\bogg\b")),
    ("format", "wav", _any(r"\bwav\b")),
    ("speed", 0.75, _any(r"\bslow(?:ly|er)?\b", r"медленн")),
    ("speed", 1.3, _any(r"\b(?:fast(?:er)?|quick(?:ly|er)?)\b", r"быстр")),
    ("voice", "en-gb", _any(r"\bbritish\b", r"британск")),
    ("voice", "en-us", _any(r"\bamerican\b", r"американск")),
    ("language", "ru", _any(r"\bin russian\b", r"\bпо-русски\b|\bна русском\b")),
    ("language", "en", _any(r"\bin english\b", r"\bпо-английски\b|\bна английском\b")),
)
"""How words are to be spoken: the input's member, its value, and what says so."""

ONLY_HOW = re.compile(
    r"(?:\W*(?:(?:as|in|to|into|with|using|very|please|save(?:d)?|в|на|формате?|очень|пожалуйста)\b|an?\b"
    r"|mp-?3|ogg|wav|file\b|format\b|файл\w*|slow(?:ly|er)?\b|fast(?:er)?\b|quick(?:ly|er)?\b|медленн\w*|быстр\w*"
    r"|british\b|american\b|british english|voice\b|accent\b|russian\b|english\b|британск\w*|американск\w*|голосом"
    r"|акцентом|по-русски|по-английски|русском|английском|языке))+\W*"
)
"""Words after a speaking verb that say how to speak and nothing to speak."""

_NOT_IT = (
    r"(?!(?:protected|encrypted|locked|secured|required|needed|unknown|missing|lost|not|is|was|for|to|of|and|or|in|on|at|by"
    r"|from|with|as|that|which|here|there|below|above|attached|written|please|aloud|out|then|the|this|security|policy"
    r"|от|для|к|на|в|из|и|или|не|под|вслух|защи\w+|нуж\w+|известен|неизвестен|есть|указан|ниже|выше|там|пожалуйста)\b)"
)
PASSWORD = re.compile(
    r"(?P<by>\b(?:with|using|by|under|с|под)\s+)?(?:\b(?:and|the|its|a|this|и)\s+)*"
    r"(?:\bpassword(?:['’]s)?(?:\s+(?:for|to|of)\s+(?:it|(?:the|this|my)\s+\w+))?"
    r"|\bпарол(?:ь|ем)(?:\s+(?:от|для|к)\s+(?:(?:этого|этому)\s+)?\w+)?)"
    r"(?:\s*[:=]\s*|\s+[—–-]\s+|\s+(?:is|was|это)(?:\s*:\s*|\s+" + _NOT_IT + r")"
    r"|(?:(?<=^password)|(?<=[.,;(\n]password)|(?<=[.,;(\n] password)|(?<=['’]s)|(?<=(?:with|sing) password)"
    r"|(?<=(?:the|its) password)|(?<=пароль)|(?<=(?:с|д) паролем))\s+" + _NOT_IT + r")"
    r"(?P<word>\S+)",
    re.IGNORECASE,
)
"""Names a password: behind a colon, "is" or a dash, or right behind the word; "password protected" names none."""

SAID_BEFORE = re.compile(
    r"\b(?:say|speak|pronounce|aloud|out loud|скажи|произнеси|озвучь|вслух)(?:\s+(?:the|my|this|a))?\s*$", re.IGNORECASE
)
"""Before a password: it is what shall be spoken."""

OPEN = _any(r"^open\b", r"^(?:открой|откройте|открыть)\b")
"""With `DOCUMENT`: wants to know what is in it."""

MORE_TO_READ = re.compile(
    r"(?:the |all |its |все |всё )?(?:tables?|text|metadata|contents?|таблицы|текст|метаданные)(?:\s.*)?"
)
"""A clause behind one that reads: what else of the same file is wanted, which reading gives anyway."""
