"""Where each key of a TOML file stands: path → line number. For messages; the values are `tomllib`'s business.

The text must be valid TOML, so this only has to tell keys from values, and one value from the next.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?!")|\'\'\'.*?\'\'\'(?!\')|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")


def key_lines(text: str) -> dict[Path, int]:
    """Line (from 1) of every table, key and list item. Items of lists stand under their index (from 0)."""
    return _Scan(text).document()


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.lengths: dict[Path, int] = {}
        """How many `[[tables]]` of one name were seen."""

    def document(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip(_SPACE) < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self.lines

    def _header(self) -> Path:
        is_list = self.text.startswith("[[", self.at)
        start = self.at
        self.at += 2 if is_list else 1
        *outer, last = self._dotted()
        self.at += 2 if is_list else 1
        path: Path = ()
        for key in outer:
            path += (key,)
            self._note(path, start)
            if path in self.lengths:
                path += (self.lengths[path] - 1,)
        path += (last,)
        self._note(path, start)
        if is_list:
            self.lengths[path] = self.lengths.get(path, 0) + 1
            path += (self.lengths[path] - 1,)
            self._note(path, start)
        return path

    def _dotted(self) -> list[str]:
        keys = []
        while True:
            self._skip(_BLANK)
            quoted = self.text[self.at] in "\"'"
            token = self._take(_STRING if quoted else _BARE_KEY)
            keys.append(_unquoted(token) if quoted else token)
            self._skip(_BLANK)
            if self.text[self.at] != ".":
                return keys
            self.at += 1

    def _pair(self, table: Path) -> None:
        start = self.at
        path = table
        for key in self._dotted():
            path += (key,)
            self._note(path, start)
        self.at += 1  # the =
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: Path) -> None:
        match self.text[self.at]:
            case "[":
                self.at += 1
                index = 0
                while self.text[self._skip(_SPACE)] != "]":
                    self._note((*path, index), self.at)
                    self._value((*path, index))
                    index += 1
                    self._comma()
                self.at += 1
            case "{":
                self.at += 1
                while self.text[self._skip(_SPACE)] != "}":
                    self._pair(path)
                    self._comma()
                self.at += 1
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_SCALAR)

    def _comma(self) -> None:
        if self.text[self._skip(_SPACE)] == ",":
            self.at += 1

    def _skip(self, blank: re.Pattern[str]) -> int:
        found = blank.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at

    def _take(self, token: re.Pattern[str]) -> str:
        found = token.match(self.text, self.at)
        if found is None:
            raise ValueError(f"not valid TOML at character {self.at}")
        self.at = found.end()
        return found.group()

    def _note(self, path: Path, at: int) -> None:
        self.lines.setdefault(path, self.text.count("\n", 0, at) + 1)


def _unquoted(token: str) -> str:
    """A quoted key without its quotes, as `tomllib` reads it."""
    return next(iter(tomllib.loads(f"{token} = 0")))
