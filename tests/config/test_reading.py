"""Settings: what is right is taken, what is wrong is named with its place."""

from __future__ import annotations

import random
import re
from datetime import date
from pathlib import Path

import pytest

from config.settings import Settings, SettingsError, load

SECRET = "a-secret-of-at-least-32-characters!!"
FILE = f"""\
# What an operator might write.
secret = "{SECRET}"
rules = "rules.yaml"
log_level = "debug"

[kafka]
bootstrap = "broker:9092"
partitions = 8

[gateway]
port = 8500
origins = ["https://board.example"]

[defaults]
target_s = 30
zone = "Asia/Shanghai"
closing_phrases = ["谢谢", "ok"]

[defaults.queues.billing]
target_s = 20
service_level = 0.9

[defaults.calendar]
zone = "Asia/Shanghai"
holidays = [2026-10-01, "2026-10-02"]
weekly = {{ mon = [["09:00", "12:00"], ["13:00", "18:00"]] }}

[defaults.calendar.workdays]
2026-10-10 = [["09:00", "18:00"]]

[tenants.acme]
target_s = 45.5

[tenants.acme.queues.billing]
short_s = 5

[tenants."b.c"]
lateness = 90
expire_s = 3600

[labels.queue.billing]
zh = "账单"
en = "Billing"

[[channels]]
name = "ops"
type = "webhook"
url = "https://ops.example/hook?key=hush-hush"
secret = "webhook-hush"

[[channels]]
name = "console"
type = "console"

[[routes]]
match = {{ severity = "critical", queue = "billing*" }}
channels = ["ops"]
"""


def settings(text: str, tmp_path: Path, **environ: str) -> Settings:
    file = tmp_path / "tidewatch.toml"
    file.write_text(text)
    return load(file, environ)


def refusal(text: str, tmp_path: Path, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(text, tmp_path, **environ)
    return str(caught.value).removeprefix(f"{tmp_path}/")


def test_a_file_is_taken_at_its_word(tmp_path: Path) -> None:
    known = settings(FILE, tmp_path)
    assert known.kafka.partitions == 8
    assert known.gateway.port == 8500
    assert known.secret.get_secret_value() == SECRET
    assert known.rules == tmp_path / "rules.yaml"
    assert known.defaults.calendar is not None
    assert known.defaults.calendar.holidays == [date(2026, 10, 1), date(2026, 10, 2)]
    assert known.defaults.calendar.workdays == {date(2026, 10, 10): [("09:00", "18:00")]}


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None, {}) == Settings()


def test_a_tenant_has_the_defaults_where_it_says_nothing_else(tmp_path: Path) -> None:
    acme = settings(FILE, tmp_path).tenant("acme")
    assert (acme.target_s, acme.zone) == (45.5, "Asia/Shanghai")
    assert (acme.queues["billing"].target_s, acme.queues["billing"].short_s) == (20, 5)
    assert settings(FILE, tmp_path).tenant("b.c").lateness == 90
    assert settings(FILE, tmp_path).tenant("unheard-of").target_s == 30


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    known = settings(
        FILE,
        tmp_path,
        TIDEWATCH_GATEWAY__PORT="0",
        TIDEWATCH_KAFKA__BOOTSTRAP="other:9",
        TIDEWATCH_DEFAULTS__ZONE="Europe/Paris",
        TIDEWATCH_TENANTS__ACME__TARGET_S="7",
        TIDEWATCH_GATEWAY__ORIGINS='["https://a.example"]',
        TIDEWATCH_REDIS__URL="redis://:12345@h:1/0",
    )
    assert known.gateway.port == 0
    assert known.kafka.bootstrap == "other:9"
    assert known.tenant("acme").zone == "Europe/Paris"
    assert known.tenant("acme").target_s == 7
    assert known.gateway.origins == ["https://a.example"]
    assert known.redis.url.get_secret_value() == "redis://:12345@h:1/0"


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tidewatch.toml"
    file.write_text("[gateway]\nport = 1234\n")
    assert load(None, {"TIDEWATCH_CONFIG": str(file)}).gateway.port == 1234


def test_what_kubernetes_puts_into_the_environment_is_not_ours(tmp_path: Path) -> None:
    environ = {
        "TIDEWATCH_GATEWAY_PORT": "tcp://10.0.0.1:8400",
        "TIDEWATCH_GATEWAY_SERVICE_HOST": "10.0.0.1",
        "TIDEWATCH_PORT_8400_TCP_ADDR": "10.0.0.1",
    }
    assert settings("", tmp_path, **environ) == Settings()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n[tenants.acme]\ntarget_s = -3\n", "tidewatch.toml:3: tenants.acme.target_s: must be ≥ 0 (got -3)"),
        ('[defaults]\ntarget_s = "60"\n', 'tidewatch.toml:2: defaults.target_s: must be a number (got "60")'),
        ("[gateway]\nport = true\n", "tidewatch.toml:2: gateway.port: must be a whole number (got true)"),
        ("[gateway]\nport = 70000\n", "tidewatch.toml:2: gateway.port: must be ≤ 65,535 (got 70000)"),
        ("[gateway]\n\nprot = 1\n", "tidewatch.toml:3: gateway.prot: there is no such setting (did you mean port?)"),
        ("[gatway]\nport = 1\n", "tidewatch.toml:1: gatway: there is no such setting (did you mean gateway?)"),
        ("[defaults]\ntarget_s = nan\n", "tidewatch.toml:2: defaults.target_s: must be a finite number (got NaN)"),
        ("[defaults]\ntarget_s = inf\n", "tidewatch.toml:2: defaults.target_s: must be"),
        ("a = 1\na = 2\n", "tidewatch.toml:2: not valid TOML: Cannot overwrite a value"),
        ("[defaults]\ntarget_s = \n", "tidewatch.toml:2: not valid TOML: Invalid value"),
        ("x = [", "tidewatch.toml:1: not valid TOML: "),
        (f"x = {'[' * 5000}", "tidewatch.toml: not valid TOML: nested too deeply"),
        (f"x = {'9' * 5000}", "tidewatch.toml:1: not valid TOML: "),
        (
            '[defaults]\nzone = "Mars/Base"\n',
            "tidewatch.toml:2: defaults.zone: no such time zone: 'Mars/Base' (allowed",
        ),
        ('log_level = "loud"\n', "tidewatch.toml:1: log_level: must be one of 'debug', 'info', 'warning' or 'error' ("),
        ("kafka = 3\n", "tidewatch.toml:1: kafka: must be a table (got 3)"),
        (
            '[tenants.a.calendar]\nzone = "UTC"\n[tenants.a.calendar.weekly]\nmoon = []\n',
            "tidewatch.toml:4: tenants.a.calendar.weekly.moon: must be one of 'mon', 'tue'",
        ),
        (
            '[defaults.calendar]\nzone = "UTC"\nweekly.mon = [\n  ["09:00", "10:00"],\n  ["12:00", "25:00"],\n]\n',
            "tidewatch.toml:5: defaults.calendar.weekly.mon[1][1]: '25:00' is not a time of day (allowed: 00:00 to",
        ),
        (
            '[defaults.calendar]\nzone = "UTC"\nweekly.mon = [["09:00", "12:00"], ["11:00", "13:00"]]\n',
            "tidewatch.toml:3: defaults.calendar.weekly.mon: the span 11:00–13:00 begins before",
        ),
        (
            '[[channels]]\nname = "a"\ntype = "console"\n[[routes]]\nchannels = ["a"]\n[[routes]]\nchannels = ["b"]\n',
            "tidewatch.toml:7: routes[1].channels: there is no channel 'b' (allowed: a)",
        ),
        (
            '[[channels]]\nname = "a"\ntype = "console"\n[[channels]]\nname = "a"\ntype = "console"\n',
            "tidewatch.toml:1: channels: the name 'a' is given twice",
        ),
        ('[[channels]]\nname = "a"\n', "tidewatch.toml:1: channels[0].type: is missing"),
        (
            "[tenants.a]\nzone = 'UTC'\n[defaults]\nlateness = 9999\n",
            "tidewatch.toml:4: defaults.lateness: must be ≤ 3,600 (got 9999)",
        ),
        ('secret = "short-one"\n', "tidewatch.toml:1: secret: is too short (allowed: 32 characters or more)"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: str, tmp_path: Path) -> None:
    assert refusal(text, tmp_path).startswith(line)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("TIDEWATCH_GATEWAY__PORT", "x", 'TIDEWATCH_GATEWAY__PORT: must be a whole number (got "x")'),
        (
            "TIDEWATCH_GATEWAY__PROT",
            "1",
            "TIDEWATCH_GATEWAY__PROT: there is no such setting (did you mean TIDEWATCH_GATE",
        ),
        (
            "TIDEWATCH_GATEWAY_PORT",
            "1",
            "TIDEWATCH_GATEWAY_PORT: there is no such setting (did you mean TIDEWATCH_GATEWAY__",
        ),
        ("TIDEWATCH_TENANTS__A__TARGET_S", "-1", "TIDEWATCH_TENANTS__A__TARGET_S: must be ≥ 0 (got -1)"),
        ("TIDEWATCH_SECRET", "hush", "TIDEWATCH_SECRET: is too short (allowed: 32 characters or more)"),
        (
            "TIDEWATCH_CHANNELS",
            '[{"name": 1}]',
            "TIDEWATCH_CHANNELS: channels[0].name: must be text (got 1) (and 1 more)",
        ),
    ],
)
def test_what_is_wrong_in_the_environment_is_named_as_the_variable(name: str, value: str, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {name: value})
    assert str(caught.value).startswith(line)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: no such file"):
        load(tmp_path / "absent.toml", {})
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b"# fine\n# caf\xe9\n")
    with pytest.raises(SettingsError, match=r"latin\.toml:2: not UTF-8"):
        load(tmp_path / "latin.toml", {})


@pytest.mark.parametrize("value", ["5", "true", '["hush"]', '{hush = "hush"}', '"hush"'])
@pytest.mark.parametrize("table", ["secret = ", "[redis]\nurl = ", "[[channels]]\nname = 'a'\ntype = 'slack'\nurl = "])
def test_a_secret_is_never_repeated(table: str, value: str, tmp_path: Path) -> None:
    message = said_of(table + value, tmp_path)
    assert "hush" not in message
    assert message.isprintable()


def said_of(text: str, tmp_path: Path) -> str:
    """The refusal, or nothing where the file is right."""
    try:
        settings(text, tmp_path)
    except SettingsError as refused:
        return str(refused).removeprefix(f"{tmp_path}/")
    return ""


def mutated(text: str, chance: random.Random) -> str:
    """One small accident: a line lost, doubled, moved or cut; a value exchanged; a character lost or put in."""
    lines = text.splitlines(keepends=True)
    index = chance.randrange(len(lines))
    values = ["-1", "1e999", "nan", '"x"', "true", "[]", "{}", "[[1]]", "2026-13-45", "1979-05-27T07:32:00", '""', "0x"]
    match chance.randrange(9):
        case 0:
            del lines[index]
        case 1:
            lines.insert(index, lines[index])
        case 2:
            lines.insert(chance.randrange(len(lines)), lines.pop(index))
        case 3:
            lines[index] = lines[index][: chance.randrange(len(lines[index]))]
        case 4 | 5:
            key, equals, _ = lines[index].partition("=")
            lines[index] = f"{key}{equals} {chance.choice(values)}\n" if equals else lines[index] * 2
        case 6:
            lines[index] = re.sub(r"[a-z]", lambda _: chance.choice("aeiou"), lines[index], count=1)
        case 7:
            at = chance.randrange(len(lines[index]))
            lines[index] = lines[index][:at] + chance.choice('"[]{}=#\x00\x1b\u202e\\.,') + lines[index][at:]
        case _:
            at = chance.randrange(len(lines[index]))
            lines[index] = lines[index][:at] + lines[index][at + 1 :]
    return "".join(lines)


@pytest.mark.parametrize("seed", range(200))
def test_a_damaged_file_is_refused_with_its_line_or_is_right(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    text = FILE
    for _ in range(chance.randint(1, 3)):
        text = mutated(text, chance)
    message = said_of(text, tmp_path)
    assert re.match(r"tidewatch\.toml:\d+: \S", message) or not message
    assert message.isprintable()
    assert "hush" not in message
    assert SECRET not in message
