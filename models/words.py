"""What a message is about, in words, and how it sounds. Pure, bounded, and the same in every release of the lists.

    text ──► tokens ──┬─► words: at most eight, the rarest first, no stop words, nothing that names a person
                      └─► sentiment: −1 to 1, from a lexicon with negations and degree words (`models.feeling`)

Chinese is cut by rjieba, and how rare its words are is jieba's own IDF table; English words are lower-cased, with an
IDF table of their own. The lists are in `models/data`, loaded at first use, so that commands that read no text start as
quickly as ever.

Nothing private: masks (`<phone>` …), addresses, and whatever has a digit in it (ids, amounts, dates) are no words; nor
is what jieba takes for a Chinese person's name, nor the name that follows "我叫" or "my name is". Of a text `MOST`
characters are read, what follows says the same.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from models.feeling import Lexicon

KEPT = 8
"""Words of a message at most."""
MOST = 400
"""Characters of a text that are read: a bound on what one message may cost."""
LONGEST = 24
"""Letters of an English word at most; what is longer is none."""
LONGEST_NAME = 3
"""Characters of a Chinese name at most; the few of four are mostly places."""
RAREST = 10.0
"""Words whose IDF is higher are all as rare as this and a little more: they need no place in memory."""
UNKNOWN = 11.0
SHORT, REMEMBERED = 40, 8_192
"""What was read out of so many short texts, of so many characters at most, is remembered: some 3 MiB."""
BREAK = "."
"""The token that ends a clause."""

_HAN = "\u3400-\u9fff\uf900-\ufaff"
_LATIN = "A-Za-zÀ-ÖØ-öø-ɏͰ-ӿ"
_PIECE = re.compile(
    rf"(?P<han>[{_HAN}]+)"
    r"|<(?:phone|id-card|bank-card|email)>|(?:https?://|www\.)[^\s，。]+"
    r"|[A-Za-z_]{0,24}-?[0-9][0-9A-Za-z_.:/\-]*"
    rf"|(?P<word>[{_LATIN}]+(?:['’][{_LATIN}]+)*)"
    r"|(?P<break>[!！?？。.,，;；…~～\n])"
    r"|(?P<face>[☀-➿\U0001f300-\U0001faff])"
)
_NAMED = re.compile(
    rf"((?:我叫|我姓|姓名是?[:：]?|名字[是叫:：]|联系人[是:：]?)\s*)(?![了你您他她它做去来客人])[{_HAN}·]{{2,3}}"
    r"|(\b(?:my name is|name's|i am called|call me|this is)\s+)(?!the\b|a\b|an\b|not\b|my\b|your\b|so\b|very\b)"
    r"(?:[a-z]+\s){0,1}(?=[a-z])[a-z]+",
    re.IGNORECASE,
)
_SURNAMES = frozenset(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝"
    "孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文庞樊兰殷施陶洪翟安颜倪严牛温芦季俞章鲁葛伍韦申尤毕聂丛焦向柳邢路岳齐梅莫庄辛管祝左涂谷祁时舒耿牟卜"
)
_NUMERALS = frozenset("零〇一二三四五六七八九十百千万亿两几第个月日号年点元块")


class Reading(NamedTuple):
    """What was read out of a message."""

    words: list[str]
    sentiment: float


def read(text: str) -> Reading:
    """Words and sentiment of a masked text."""
    if len(text) > SHORT:
        found = tokens(text)
        return Reading(_rarest(found), lexicon().score(found))
    words, score = _short(text)
    return Reading(list(words), score)


@lru_cache(REMEMBERED)
def _short(text: str) -> tuple[tuple[str, ...], float]:
    """The same of a short text: people write many of them again and again."""
    found = tokens(text)
    return tuple(_rarest(found)), lexicon().score(found)


def words(text: str) -> list[str]:
    """At most eight words that say what a masked text is about, the rarest first."""
    return _rarest(tokens(text))


def sentiment(text: str) -> float:
    """How a masked text sounds, −1 (angry) to 1 (pleased), three decimals; 0 where no word of feeling is in it."""
    return lexicon().score(tokens(text))


def warm() -> None:
    """Load the lists (a quarter of a second, some 40 MiB), so that the first message need not wait for them."""
    read("好 word")


def tokens(text: str) -> list[str]:
    """The words, ends of clauses and faces of a text in their order; what is no word is left out."""
    text = text[:MOST]
    if _may_name(text):
        text = _NAMED.sub(lambda found: (found[1] or found[2]) + "\n", text)
    found: list[str] = []
    for piece in _PIECE.finditer(text):
        match piece.lastgroup:
            case "han":
                found += _cut(piece[0])
            case "word":
                found.append(piece[0].lower().replace("’", "'"))
            case "break":
                found.append(BREAK if piece[0] not in "!！" else "!")
            case "face":
                found.append(piece[0])
    return found


def _may_name(text: str) -> bool:
    if text.isascii():
        lower = text.lower()
        return "name" in lower or "call" in lower or "this is" in lower
    return "我叫" in text or "我姓" in text or "名" in text or "联系人" in text or "name" in text


def _rarest(found: list[str]) -> list[str]:
    rarity = _rarity()
    kept: dict[str, float] = {}
    for word in found:
        idf = rarity.get(word)
        if idf is None:
            idf = UNKNOWN if _is_word(word) and not _is_name(word) else 0.0
        if idf:
            kept[word] = -idf
    return sorted(kept, key=kept.__getitem__)[:KEPT]  # a stable sort: of equals the first in the text


def _is_word(word: str) -> bool:
    if word[0] < "\u2e80":
        return 3 <= len(word) <= LONGEST and word[0].isalpha()
    return 2 <= len(word) <= KEPT and word[0] < "\ufb00" and not _NUMERALS.issuperset(word)


@lru_cache(REMEMBERED)
def _is_name(word: str) -> bool:
    """Whether it is a Chinese person's name, as far as jieba can tell of a word alone: "nr" is its tag of names."""
    if word[0] not in _SURNAMES or len(word) > LONGEST_NAME:
        return False
    import rjieba

    return [tag for _, tag in rjieba.tag(word)] == ["nr"]


# -- the lists, loaded at first use ----------------------------------------------------------------------------------


@cache
def _cutter() -> object:
    import rjieba

    return rjieba.cut


def _cut(han: str) -> list[str]:
    return _cutter()(han)  # type: ignore[operator, no-any-return]


@cache
def lexicon() -> Lexicon:
    """The words of feeling."""
    return Lexicon.of(_lines("lexicon.txt"))


@cache
def _rarity() -> dict[str, float]:
    """Word → IDF, of those that are not among the rarest; 0 for stop words.

    Source: jieba's `idf.txt`; for English `models/data/english.txt`.
    """
    found: dict[str, float] = {}
    with _jieba_table().open(encoding="utf-8") as table:
        for line in table:
            word, _, value = line.partition(" ")
            if (idf := float(value)) < RAREST and _is_word(word) and not _is_name(word):
                found[word] = idf
    for line in _lines("english.txt"):
        word, _, value = line.partition(" ")
        found[word] = float(value)
    return found | {word: 0.0 for line in _lines("stopwords.txt") for word in line.split()}


def _jieba_table() -> Path:
    spec = find_spec("jieba")  # it is not imported: that would load its dictionary
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("jieba is not installed")
    return Path(spec.origin).parent / "analyse" / "idf.txt"


def _lines(name: str) -> list[str]:
    text = files("models.data").joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
