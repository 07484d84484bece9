"""Every key is found on its line, whatever stands between."""

from __future__ import annotations

import tomllib

from config.lines import Path, key_lines

TEXT = '''\
rules = "x" # = [no]
[defaults]
queues."a.b".target_s = 4
queues.c = { target_s = 3, calendar = { weekly = { mon = [["09:00",
  "12:00"]] } } }
[[channels]]
name = """
[not.a.table]
key = "quoted \\""""
[[channels]]
url = 'C:\\'
[[channels.kids]]
a = 1
[[channels.kids]]
b = [1,
  2, # ]
  { x = 1979-05-27 07:32:00 }, ]
[channels.more]
y = -inf
'''


def test_each_key_stands_on_its_line() -> None:
    lines = key_lines(TEXT)
    wanted: dict[Path, int] = {
        ("rules",): 1,
        ("defaults", "queues", "a.b", "target_s"): 3,
        ("defaults", "queues", "c", "calendar", "weekly", "mon", 0, 1): 5,
        ("channels", 0, "name"): 7,
        ("channels", 1): 10,
        ("channels", 1, "url"): 11,
        ("channels", 1, "kids", 0, "a"): 13,
        ("channels", 1, "kids", 1, "b", 2, "x"): 17,
        ("channels", 1, "more", "y"): 19,
    }
    assert {path: lines.get(path) for path in wanted} == wanted


def test_it_finds_the_keys_that_the_parser_finds() -> None:
    assert paths(tomllib.loads(TEXT), ()) == set(key_lines(TEXT))


def paths(value: object, at: Path) -> set[Path]:
    inner = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    return ({at} if at else set()).union(*(paths(item, (*at, key)) for key, item in inner))
