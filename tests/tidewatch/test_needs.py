from __future__ import annotations

from pathlib import Path

import pytest

from alerts.notices import labels_of
from config.settings import load
from tests.alerts.build import T0, Story, key, rules
from tidewatch.needs import LABELS, CannotAlert, need_alerting

OPS = '[[channels]]\nname = "ops"\n'
CONSOLE = OPS + 'type = "console"\n'


def wrong(folder: Path, text: str) -> str:
    (folder / "tidewatch.toml").write_text(text)
    with pytest.raises(CannotAlert) as caught:
        need_alerting(load(folder / "tidewatch.toml", {}))
    return str(caught.value)


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ('type = "webhook"', "channels: ops: url is missing (allowed: https://host/path)"),
        ('type = "webhook"\nurl = "http://10.1.2.3/x"', "channels: ops: url: "),
        ('type = "webhook"\nurl = "http://localhost/x"', "channels: ops: url: "),
        ('type = "webhook"\nurl = "file:///etc/passwd"', "channels: ops: url: not a URL that can be posted to"),
        ('type = "pagerduty"', "channels: ops: secret is missing"),
        ('type = "email"\nurl = "smtps://mail.example"', "channels: ops: url: from is missing"),
    ],
)
def test_a_channel_that_could_never_be_told_stops_the_start(tmp_path: Path, channel: str, said: str) -> None:
    assert wrong(tmp_path, OPS + channel).startswith(said)


def test_a_heart_that_may_not_beat_there_stops_the_start(tmp_path: Path) -> None:
    assert wrong(tmp_path, '[heartbeat]\nurl = "http://127.0.0.1/x"').startswith("heartbeat.url: ")


def test_a_route_that_could_never_match_stops_the_start(tmp_path: Path) -> None:
    said = wrong(tmp_path, CONSOLE + '[[routes]]\nmatch = {sevrity = "critical"}\nchannels = ["ops"]\n')
    assert said.startswith("routes[0].match: no alert has a label 'sevrity' (allowed: about, alert, channel, ")
    said = wrong(tmp_path, CONSOLE + '[[routes]]\nmatch = {severity = "crit"}\nchannels = ["ops"]\n')
    assert said == "routes[0].match.severity: 'crit' fits none (allowed: info, warning, critical)"


def test_what_is_said_of_telling_people_in_the_rules_is_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules: []\nnotify: {repeat: soon}\n")
    assert wrong(tmp_path, 'rules = "rules.yaml"').startswith("rules.yaml:2: ")
    (tmp_path / "rules.yaml").unlink()
    assert "rules.yaml: cannot be read" in wrong(tmp_path, 'rules = "rules.yaml"')


def test_what_can_be_told_lets_the_start_go_on(tmp_path: Path) -> None:
    rules = 'rules: [{name: full, metric: backlog, fire: "> 1", labels: {team: payments}}]'
    (tmp_path / "rules.yaml").write_text(rules)
    text = (
        'rules = "rules.yaml"\n' + CONSOLE + '[[channels]]\nname = "hook"\ntype = "webhook"\nallow_private = true\n'
        'url = "http://127.0.0.1:9/x"\n[[routes]]\nmatch = {team = "pay*", severity = "*", queue = "billing*"}\n'
        'channels = ["hook", "ops"]\n'
    )
    (tmp_path / "tidewatch.toml").write_text(text)
    need_alerting(load(tmp_path / "tidewatch.toml", {}))
    need_alerting(load(None, {}))


def test_the_labels_are_those_that_alerts_have() -> None:
    text = "- {name: full, metric: backlog, fire: '> 1', scope: {queue: '*'}}"
    (change,) = Story(rules(text)).tick(T0, key(backlog=2))
    assert set(labels_of(change.alert)) == set(LABELS)
