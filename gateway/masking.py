"""PII out; the only maker of `MaskedText`.

What is found: Chinese mobile numbers, 18-digit identity cards (birthday and check digit must be right), bank cards (13
to 19 digits after a known issuer's prefix, Luhn must be right) and e-mail addresses; in disguise as well: full-width
and Chinese digits (一三八…), spaces, dashes and dots between the digits, zero-width characters anywhere.

How it works. Each disguised character is mapped to the plain one it stands for; zero-width ones are left out, and where
each plain character came from is remembered. Addresses are found first, from their @ outwards. Then every *run* of at
least 11 digits, with at most three separators between two of them, is cut into *groups*: at its separators, and where
the script changes. A number begins where a group begins and ends where one ends, so a piece of a longer number is never
taken for a short one. From each position a bounded stretch is looked at, so the whole is linear.

What must stay readable: orders, parcels, amounts and timestamps. Prefix, check digit and the word before them tell.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import NewType

MaskedText = NewType("MaskedText", str)

PHONE, ID_CARD, BANK_CARD, EMAIL = "<phone>", "<id-card>", "<bank-card>", "<email>"

_Span = tuple[int, int, str]

_SPOKEN = dict(zip("零〇○洞一壹幺二贰三叁四肆五伍六陆七柒八捌九玖", "00001112233445566778899", strict=True))
_HIDDEN = frozenset(
    chr(code)
    for first, last in (
        (0xAD, 0xAD),
        (0x34F, 0x34F),
        (0x61C, 0x61C),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180E),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x2064),
        (0x2066, 0x2069),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
    )
    for code in range(first, last + 1)
)  # soft hyphen, fillers, zero-width, direction marks, variation selectors


def _plain_characters() -> dict[int, str]:
    """What stands for an ASCII character here: the digits of all scripts, circled ones, full-width letters, dashes."""
    plain = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    plain |= dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63, 0x00B7, 0x2022, 0x30FB), "-")
    plain |= {0xFE6B: "@", 0x3002: ".", 0xFF61: "."}
    for code in range(0x80, 0x20000):
        if (digit := unicodedata.digit(chr(code), None)) is not None:
            plain[code] = str(digit)
    return plain | {ord(char): digit for char, digit in _SPOKEN.items()}


_PLAIN = _plain_characters()
_COMMON = "".join(chr(code) for code, plain in _PLAIN.items() if plain.isdigit() and code < 0x10000)
_DIGIT = re.compile(f"[0-9{_COMMON}\U0001d7ce-\U0001d7ff]")
_AT = re.compile("[@＠﹫]")
_RUN = re.compile(r"[0-9](?:[\s\-._~()]{0,3}[0-9]){10,}(?:[\s\-._~()]{0,3}[xX](?![A-Za-z]))?")
_LOCAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-")
_DOMAIN = re.compile(r" {0,2}(?:[A-Za-z0-9][A-Za-z0-9\-]{0,62}\.)+[A-Za-z]{2,24}")
_PHONE = re.compile(r"(?:(?:00)?86|0)?1[3-9][0-9]{9}")
_ISSUER = re.compile(
    r"4|5[0-9]|6[02-57-9]|3[04-9]|(?=.{16})(?:222[1-9]|22[3-9]|2[3-6]|27[01]|2720|9[4-6]|81)"
)  # Source: ISO/IEC 7812 prefixes as the schemes publish them; 9x: Chinese debit cards from before UnionPay
_ORDER = re.compile(
    r"(?:订单|单号|运单|快递单?|物流单?|包裹|流水|交易|发票|工单|参考|货号|order|parcel|tracking|waybill|invoice|sku|serial|ref(?:erence)?)"
    r"\s?(?:号码?|编号|单号|id|no\.?|num(?:ber)?\.?)?\s*(?:是|为|is)?\s*[:#=]?\s*$",
    re.IGNORECASE,
)
_PHONE_CUTS = ([3, 7], [3], [7], [2, 5, 9], [2, 5])  # 139 1234-5678, 86 139-1234-5678
_LETTER = re.compile(r"(?:[A-WYZa-wyz]|(?<![0-9\s\-._~()])[xX])$")  # an X after a digit may be an identity card's last
_REACH = 32  # how far back the word before a number is looked for

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"  # Source: GB 11643-1999, ISO 7064 MOD 11-2


def mask(text: str) -> MaskedText:
    """Return the text with every private number and address replaced by its kind. Masking twice is masking once."""
    if _AT.search(text) is None and len(_DIGIT.findall(text)) < 11:
        return MaskedText(text)
    plain, origin = _undisguise(text)
    mails = list(_mails(plain))
    for start, end, _ in mails:  # what is an address is no number any more; the length stays, so positions do
        plain = plain[:start] + "<" * (end - start) + plain[end:]
    found = sorted(mails + [span for run in _RUN.finditer(plain) for span in _numbers(run, text, origin)])
    pieces, done = [], 0
    for start, end, kind in found:
        pieces += [text[done : origin[start]], kind]
        done = origin[end - 1] + 1
    return MaskedText("".join(pieces) + text[done:])


def _undisguise(text: str) -> tuple[str, range | list[int]]:
    """The plain text, and for each of its characters the index of the one it came from."""
    if text.isascii():
        return text, range(len(text))
    origin = [index for index, char in enumerate(text) if char not in _HIDDEN]
    shown = text if len(origin) == len(text) else "".join([text[index] for index in origin])
    return shown.translate(_PLAIN), origin


def _mails(plain: str) -> Iterator[_Span]:
    done = 0
    for at in re.finditer("@", plain):
        end = start = at.start()
        while start > done and plain[start - 1] == " " and end - start < 2:
            start -= 1
        local = start
        while local > done and plain[local - 1] in _LOCAL:
            local -= 1
        domain = _DOMAIN.match(plain, at.end())
        if domain and local < start:
            done = domain.end()
            yield local, done, EMAIL


@dataclass(frozen=True, slots=True)
class _Run:
    """A run without its separators. Indices are into `digits`; an X may stand at the end."""

    plain: str
    digits: str
    where: list[int]
    """Position of each digit in the plain text."""
    starts: list[int]
    """Where groups begin."""
    ends: frozenset[int]
    """Where groups end (exclusive)."""
    luhn: tuple[list[int], list[int]]
    """Prefix sums with the digits at even, and with those at odd indices doubled."""

    def before(self, start: int) -> str:
        """The text just before a digit."""
        return self.plain[max(0, self.where[start] - _REACH) : self.where[start]]


def _numbers(found: re.Match[str], text: str, origin: range | list[int]) -> Iterator[_Span]:
    """The numbers of one run: first those that a check digit proves, then phones in what they leave."""
    run = _cut(found, text, origin)
    free = bytearray(b"\1") * len(run.digits)
    for number_at in (_proven_at, _phone_at):
        for start in run.starts:
            end, kind = number_at(run, start) if free[start] else (start, "")
            if kind and all(free[start:end]):
                free[start:end] = bytes(end - start)
                yield run.where[start], run.where[end - 1] + 1, kind


def _cut(found: re.Match[str], text: str, origin: range | list[int]) -> _Run:
    where = [found.start() + at for at, char in enumerate(found.group()) if char in "0123456789xX"]
    digits = "".join([found.string[at] for at in where]).upper()
    scripts = [_script(text[origin[at]]) for at in where]
    starts = [
        index
        for index, at in enumerate(where)
        if not index or (digits[index] != "X" and (at != where[index - 1] + 1 or scripts[index] != scripts[index - 1]))
    ]
    ends = {*starts[1:], len(digits), len(digits) - (digits[-1] == "X")}
    return _Run(found.string, digits, where, starts, frozenset(ends), (_doubled(digits, 0), _doubled(digits, 1)))


def _script(char: str) -> int:
    return 0 if char.isascii() else 1 if char in _SPOKEN else 2


def _doubled(digits: str, parity: int) -> list[int]:
    sums = [0]
    for index, char in enumerate(digits):
        value = int(char, 36)  # an X is never inside a sum that is read
        sums.append(sums[-1] + (value if index % 2 != parity else value * 2 - 9 * (value > 4)))
    return sums


def _proven_at(run: _Run, start: int) -> tuple[int, str]:
    """The end and the kind of the card that begins here; "" as the kind where there is none."""
    if start + 18 in run.ends and _is_id(run.digits[start : start + 18]):
        return start + 18, ID_CARD
    if not _ISSUER.match(run.digits, start):
        return start, ""
    lengths = [n for n in range(19, 12, -1) if start + n in run.ends and _is_card(run, start, start + n)]
    before = run.before(start)
    if not lengths or _ORDER.search(before) or _is_inside_a_word(before):  # SF6222…: a parcel
        return start, ""
    return start + lengths[0], BANK_CARD


def _phone_at(run: _Run, start: int) -> tuple[int, str]:
    phone = _PHONE.match(run.digits, start)
    if not phone or phone.end() not in run.ends or not _is_one_number(run, start, phone.end()):
        return start, ""
    before, after = run.before(start), run.plain[run.where[phone.end() - 1] + 1 :][:1]
    inside_a_word = _is_inside_a_word(before) and after.isascii() and after.isalpha()  # 1e4d13912345678ab: a digest
    return (start, "") if inside_a_word or _ORDER.search(before) else (phone.end(), PHONE)


def _is_inside_a_word(before: str) -> bool:
    return _LETTER.search(before) is not None


def _is_id(digits: str) -> bool:
    try:
        born = date(int(digits[6:10]), int(digits[10:12]), int(digits[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_ID_WEIGHTS, digits, strict=False))
    return 1880 < born.year < 2100 and digits[0] in "12345678" and _ID_CHECK[total % 11] == digits[17]


def _is_card(run: _Run, start: int, end: int) -> bool:
    sums = run.luhn[end % 2]  # the last but one is doubled, and every second before it
    proven = (sums[end] - sums[start]) % 10 == 0 and run.digits[end - 1] != "X"
    return proven and _is_one_number(run, start, end)


def _is_one_number(run: _Run, start: int, end: int) -> bool:
    """True where the groups stand as people write one number: evenly separated, or three first and then two halves."""
    gaps = {i - start: run.plain[run.where[i - 1] + 1 : run.where[i]] for i in range(start + 1, end)}
    cuts = {at: gap for at, gap in gaps.items() if gap}
    return len(set(cuts.values())) < 2 or list(cuts) in _PHONE_CUTS
