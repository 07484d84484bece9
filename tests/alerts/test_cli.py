"""`tidewatch rules` and `tidewatch alert`, without a running stack: what they print, and how they end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import get_args

import pytest
from aiohttp import web

from config.settings import Channel
from tests.alerts.receiver import receiver, run
from tests.alerts.test_commands import SHORT_PEAK
from tests.alerts.test_mail import mailbox
from tests.tidewatch.test_cli import assert_one_line, tidewatch

COMMANDS = [
    "rules check", "rules test", "alert list", "alert ack", "alert grade", "alert silence", "alert unsilence",
    "alert test", "audit verify",
]  # fmt: skip
WRONG = "rules:\n  - {name: a, metric: b, fire: '> 1'}\n  - {name: c, metric: backlog, fire: 'much'}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = tidewatch(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: tidewatch {command}" in done.stdout
    assert f"\n    tidewatch {command}" in done.stdout.split("Example")[1]


def test_the_rules_in_force_are_right() -> None:
    done = tidewatch("rules", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("rules, no mistake\n")


def test_every_mistake_of_a_file_is_a_line_and_their_number_is_the_error(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(WRONG)
    done = tidewatch("rules", "check", "r.yaml", cwd=tmp_path)
    assert_one_line(done, 1, "tidewatch: r.yaml: 2 mistakes")
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["r.yaml:2", "r.yaml:3"]


def test_a_rehearsal_is_right_or_says_what_was_otherwise(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(SHORT_PEAK)
    done = tidewatch("rules", "test", "t.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "t.yaml: all as expected\n", "")
    (tmp_path / "t.yaml").write_text(SHORT_PEAK.replace("after: 2m30s", "after: 3m"))
    done = tidewatch("rules", "test", "t.yaml", cwd=tmp_path)
    assert_one_line(done, 1, "tidewatch: t.yaml: 2 differences")
    assert "after 180s: backlog-high should be firing, and is not" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "begin"),
    [
        (["rules"], "tidewatch: Missing command"),
        (["rules", "check", "absent.yaml"], "tidewatch: Invalid value for 'FILE': "),
        (["alert", "silence", "--reason", "r"], "tidewatch: Missing option '--match'"),
        (["alert", "silence", "--match", "queue", "--reason", "r"], "tidewatch: Invalid value: --match: 'queue' is no"),
        (["alert", "silence", "--match", "queue=a", "--reason", "r", "--minutes", "0"], "tidewatch: Invalid value for"),
        (["alert", "test", "--channel", "ops"], "tidewatch: Invalid value: --channel: there is no channel 'ops'"),
        (["alert", "list", "--url", "http://127.0.0.1:1"], "tidewatch: Invalid value: --url: a token is needed"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], begin: str, tmp_path: Path) -> None:
    assert_one_line(tidewatch(*arguments, cwd=tmp_path), 2, begin)


@pytest.mark.parametrize(
    ("arguments", "begin"),
    [
        (["--data", "nowhere"], "tidewatch: nowhere/access.json does not say how to get in: start `tidewatch up`"),
        (["--url", "http://127.0.0.1:1", "--key", "k"], "tidewatch: http://127.0.0.1:1: cannot be reached"),
        (["--url", "ftp://there", "--key", "k"], "tidewatch: --url: 'ftp://there' is no gateway"),
    ],
)
def test_a_stack_that_is_not_there_is_one_line(arguments: list[str], begin: str, tmp_path: Path) -> None:
    assert_one_line(tidewatch("alert", "list", *arguments, cwd=tmp_path), 1, begin)


def test_a_test_alert_says_of_each_channel_whether_it_was_sent(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as there:
            config = tmp_path / "tidewatch.toml"
            channel = '[[channels]]\nname = "{}"\ntype = "webhook"\nurl = "{}"\nallow_private = true\n'
            config.write_text(channel.format("ops", there.url) + channel.format("dead", "http://127.0.0.1:1/hook"))
            both = ("alert", "test", "--channel", "ops", "--channel", "dead", "--config", str(config))
            done = await asyncio.to_thread(tidewatch, *both)
            assert_one_line(done, 1, "tidewatch: not sent: dead")
            assert done.stdout.splitlines()[0] == "ops\tsent"
            assert done.stdout.splitlines()[1].startswith("dead\tit cannot be reached (Connection refused)")
            assert [post.json["state"] for post in there.posts] == ["firing", "resolved"]

    run(story())


def test_a_test_alert_goes_through_a_channel_of_every_type(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as there, mailbox() as box:
            there.answer = lambda _: web.json_response({"errcode": 0, "code": 0})
            urls = {
                "webhook": there.url, "slack": there.url, "pagerduty": there.url, "wecom": there.url,
                "dingtalk": there.url, "feishu": there.url, "alertmanager": there.url, "console": None,
                "email": f"smtp://127.0.0.1:{box.port}/?from=a@shop.example&to=b@shop.example",
            }  # fmt: skip
            assert set(urls) == set(get_args(Channel.model_fields["type"].annotation))
            lines = [
                f'[[channels]]\nname = "{kind}"\ntype = "{kind}"\nallow_private = true\n'
                + (f'url = "{url}"\n' if url else "")
                + (f'secret = "{"s" * 32}"\n' if kind in ("webhook", "pagerduty", "dingtalk", "feishu") else "")
                for kind, url in urls.items()
            ]
            (tmp_path / "tidewatch.toml").write_text("".join(lines))
            chosen = [word for kind in urls for word in ("--channel", kind)]
            done = await asyncio.to_thread(
                tidewatch, "alert", "test", *chosen, "--config", "tidewatch.toml", cwd=tmp_path
            )
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.splitlines() == [f"{kind}\tsent" for kind in urls]
            assert len(there.posts) == 2 * 7
            assert len(box.got) == 2

    run(story())


def test_a_mistake_in_rules_or_channels_is_said_before_a_broker_is_asked(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(WRONG)
    nobody = '[kafka]\nbootstrap = "127.0.0.1:1"\n'
    (tmp_path / "rules.toml").write_text(f'rules = "r.yaml"\n{nobody}')
    done = tidewatch("notifier", "--config", "rules.toml", cwd=tmp_path)
    assert_one_line(done, 1, "tidewatch: r.yaml:2: rule a: metric: 'b' is not a metric (allowed: ")
    inside = '[[channels]]\nname = "ops"\ntype = "webhook"\nurl = "http://10.0.0.1/hook"\n'
    (tmp_path / "channel.toml").write_text(f"{nobody}{inside}")
    done = tidewatch("notifier", "--config", "channel.toml", cwd=tmp_path)
    assert_one_line(done, 1, "tidewatch: channels: ops: url: the address 10.0.0.1 is not public (allowed: a public one")


def test_the_audit_says_what_to_do_where_no_broker_answers(tmp_path: Path) -> None:
    (tmp_path / "tidewatch.toml").write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    done = tidewatch("audit", "verify", "--config", "tidewatch.toml", cwd=tmp_path)
    assert_one_line(
        done, 1, "tidewatch: no Kafka answers at 127.0.0.1:1: start it, name it (TIDEWATCH_KAFKA__BOOTSTRAP"
    )
