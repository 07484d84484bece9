"""Rules exchanged while the notifier runs; a file with a mistake changes nothing, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.notices import Policy
from alerts.notifier import check
from alerts.outbox import Store, refused_rules
from alerts.policy import load as policy_of
from alerts.reload import Changed, RulesFile, SettingsFile
from alerts.rules import load
from alerts.state import FIRING
from alerts.watch import Watch
from config.settings import Channel, Settings
from config.settings import load as read_settings
from streams.events import REAL
from tests.alerts.build import T0, S, key, readings

GOOD = 'rules:\n  - {name: high, metric: backlog, scope: {queue: "*"}, fire: "> 20", clear: "<= 10"}\n'
BAD: dict[str, tuple[str | bytes, str]] = {
    "a metric that is none": (GOOD.replace("metric: backlog", "metric: backlogg"), "'backlogg' is not a metric"),
    "an unknown field": (GOOD.replace("}\n", ', summary: {zh: "{x}", en: x}}\n').replace('"*", summary', '"*"'), "'x'"),
    "a name given twice": (GOOD + GOOD.splitlines()[1] + "\n", "is already on line 2"),
    "no YAML": ("rules: [", "not YAML"),
    "no rules": ("notify: {}\n", "rules: is missing"),
    "a channel that is not there": (GOOD + "escalate: [{after: 1m, channels: [nobody]}]\n", "no channel 'nobody'"),
    "not UTF-8": (b"\xff\xfe", "cannot be read"),
}


class House:
    """A watch on a file of rules, with one alert firing by it."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, T0
        self.write(GOOD)
        settings = Settings(rules=path, channels=[Channel(name="ops", type="console")])
        self.store = Store(":memory:")
        told = policy_of(path, settings.channels, [])
        self.watch = Watch(self.store, load(path), told, now=lambda: self.at)
        self.file = RulesFile(settings, self.watch)
        self.judge(30)

    def write(self, text: str | bytes) -> None:
        """Replace the file, as editors do."""
        other = self.path.with_suffix(".new")
        other.write_bytes(text if isinstance(text, bytes) else text.encode())
        other.replace(self.path)

    def judge(self, backlog: int) -> None:
        """The next tick."""
        self.at += S
        self.watch.judge(REAL, self.at, readings([key(backlog=backlog)]))

    def states(self) -> dict[str, str]:
        """Rule → state of what is open."""
        return {slot.rule: str(alert.state) for slot, alert in self.watch.state.alerts.items()}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "rules.yaml")


def test_a_changed_file_is_in_force_at_the_next_look(house: House) -> None:
    house.file.look()
    house.write(GOOD.replace("name: high", "name: other"))
    house.judge(30)
    assert house.states() == {"high": "firing"}, "nobody has looked yet"
    house.file.look()
    house.judge(30)
    assert house.states() == {"other": "firing"}


@pytest.mark.parametrize("what", BAD)
def test_a_file_with_a_mistake_changes_nothing_and_is_one_alert_until_it_is_right(house: House, what: str) -> None:
    text, says = BAD[what]
    house.write(text)
    for _ in range(3):
        house.file.look()
        house.judge(30)
    assert house.states() == {"high": "firing", "rules-refused/": "firing"}
    (told,) = [alert for alert in house.watch.open_alerts("*") if alert["rule"] == "rules-refused/"]
    assert says in told["reason"]
    assert sum(row.alert == told["alert"] for row in house.store.due("ops", 1 << 60)) == 1
    house.write(GOOD)
    house.file.look()
    house.judge(30)
    assert house.states() == {"high": "firing"}


def test_what_was_refused_can_be_read_beside_the_notifier(tmp_path: Path) -> None:
    with Store(tmp_path / "n.db") as store:
        watch = Watch(store, load(None), Policy(("ops",)))
        assert refused_rules(tmp_path / "n.db") is None
        watch.refuse("rules.yaml:3: fire: is missing")
        assert refused_rules(tmp_path / "n.db") == "rules.yaml:3: fire: is missing"
        watch.refuse(None)
        assert refused_rules(tmp_path / "n.db") is None
    assert refused_rules(tmp_path / "nothing.db") is None


def test_a_file_that_is_taken_away_keeps_the_rules(house: House) -> None:
    house.path.unlink()
    house.file.look()
    house.judge(30)
    assert house.states() == {"high": "firing", "rules-refused/": "firing"}


def test_a_hangup_reads_it_again_though_nothing_seems_to_have_changed(house: House) -> None:
    before = house.watch._rules
    house.file.look()
    assert house.watch._rules is before
    house.file.look(again=True)
    assert house.watch._rules is not before


@pytest.mark.parametrize("jump", [-86_400_000, -3_600_000, 3_600_000, 86_400_000])
def test_a_clock_that_jumps_ends_no_alert_and_begins_none(house: House, jump: int) -> None:
    (before,) = house.watch.state.alerts.values()
    house.at += jump
    house.watch.beat()
    house.judge(30)
    house.judge(30)
    (after,) = [alert for alert in house.watch.state.alerts.values() if alert.slot.rule == "high"]
    assert (after.id, after.state) == (before.id, FIRING)
    assert set(house.states()) <= {"high", "catching-up/"}


def test_a_tick_that_was_judged_is_heard_and_known_and_the_next_is_not(house: House) -> None:
    last = house.at
    house.at += 10 * S
    assert house.watch.known(REAL, last)
    assert house.watch.known(REAL, last - S)
    assert not house.watch.known(REAL, last + S)
    assert not house.watch.known("a replay", last)
    assert house.watch._heard_at == house.at, "the stream does not stand still"


def test_after_a_clock_that_was_ahead_alerts_begin_and_end_again(house: House) -> None:
    right = house.at
    house.at += 86_400_000
    house.judge(30)
    house.at = right
    house.judge(0)
    assert house.states() == {}
    house.judge(30)
    assert house.states() == {"high": "firing"}


CONFIG = '[[channels]]\nname = "ops"\ntype = "console"\n'
WRONG = {
    "no TOML": (CONFIG + "[[", "TOML"),
    "a type that is none": (CONFIG.replace("console", "pigeon"), "pigeon"),
    "an address that does not parse": (CONFIG + '[[channels]]\nname = "a"\ntype = "webhook"\nurl = "http:/x"\n', "url"),
    "a private network": (CONFIG + '[[channels]]\nname = "a"\ntype = "webhook"\nurl = "http://10.0.0.1/"\n', "public"),
    "a route to nobody": (CONFIG + '[[routes]]\nmatch = {}\nchannels = ["b"]\n', "'b'"),
    "rules that are wrong": ('rules = "bad.yaml"\n' + CONFIG, "bad.yaml:1"),
    "rules that are not there": ('rules = "gone.yaml"\n' + CONFIG, "cannot be read"),
}


def source_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> SettingsFile:
    path.write_text(CONFIG)
    (path.parent / "bad.yaml").write_text("rules: 7\n")
    monkeypatch.setenv("TIDEWATCH_CONFIG", str(path))
    return SettingsFile(read_settings(), check, read_settings)


def test_other_channels_are_settings_that_changed_and_all_else_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(tmp_path / "t.toml", monkeypatch)
    source.look()
    (tmp_path / "t.toml").write_text(CONFIG + "\n")
    source.look()
    (tmp_path / "t.toml").write_text(CONFIG.replace("ops", "other") + "[kafka]\npartitions = 64\n")
    with pytest.raises(Changed):
        source.look()
    assert [channel.name for channel in source.now.channels] == ["other"]
    assert source.now.kafka.partitions != 64, "fixed at the start"
    source.look()


@pytest.mark.parametrize("what", WRONG)
def test_settings_with_a_mistake_change_nothing_and_say_where(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, says = WRONG[what]
    source = source_of(tmp_path / "t.toml", monkeypatch)
    before = source.now
    (tmp_path / "t.toml").write_text(text)
    source.look()
    assert source.now == before
    assert says in (source.mistake or "")
    (tmp_path / "t.toml").write_text(CONFIG)
    source.look()
    assert source.mistake is None


def test_a_mistake_in_the_rules_and_one_in_the_settings_are_one_alert_until_both_are_right(house: House) -> None:
    house.watch.refuse("t.toml:3: channels: type", "settings")
    house.watch.refuse("rules.yaml:2: fire: is missing")
    house.watch.refuse(None)
    assert house.states()["rules-refused/"] == "firing"
    house.watch.refuse(None, "settings")
    assert house.states() == {"high": "firing"}
