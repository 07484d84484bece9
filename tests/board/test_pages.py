"""From a number to its receipt, the past, the alerts, the boards: every page as a reader meets it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.routes import ROUTES
from tests.board import answers
from tests.board.conftest import Page
from tests.board.looks import ALIVE, DRESSES, WIDTHS, fits, legible
from tests.board.scenes import surge

pytestmark = pytest.mark.slow

LIST = "page=behind&of=frt_p90_km_ms&at=returns"
TALK = LIST + "&conversation=c-81&episode=1"
PAGES = (LIST, TALK, TALK + "&receipt=frt_ms", "page=history", "page=alerts", "page=boards")
ENTER, ESCAPE, RIGHT = "\ue007", "\ue00c", "\ue014"


@pytest.mark.parametrize("query", PAGES)
def test_every_page_fits_every_width_in_both_languages_and_themes(page: Page, query: str) -> None:
    page.theatre.play(surge, roles=("admin",))
    page.open("lang=zh&theme=dark&" + query)
    ready(page)
    for lang, theme in DRESSES:
        page.dress(lang, theme)
        for width in WIDTHS:
            page.resize(width)
            ready(page)
            fits(page, width, query, lang, theme)
        legible(page, query, lang, theme)


def ready(page: Page) -> None:
    """All that the page asked for has been answered."""
    page.wait("return !document.querySelector('main [role=status]') && !document.querySelector('[aria-busy]')")
    page.settle()


def shape(schema: Any, value: Any, where: str) -> None:
    """Raise where a made-up answer has other fields than the route says."""
    if isinstance(schema, Mapping):
        assert set(value) == set(schema), (where, set(value) ^ set(schema))
        for name, part in schema.items():
            shape(part, value[name], f"{where}.{name}")
    elif isinstance(schema, list):
        for one in value:
            shape(schema[0], one, where)
    elif value is None:
        assert schema.partition(": ")[0].endswith("?"), where


@pytest.mark.parametrize("path", [path for path in answers.ANSWERS if path.count("/") == 2])
def test_the_made_up_answers_have_the_shape_that_the_gateway_promises(path: str) -> None:
    ask = {"metric": "service_level,customer_messages" if path == "/v1/history" else "backlog", "conversation": "c-81",
           "episode": "1", "from": "2026-11-14T00:00:00Z", "to": "2026-11-21T00:00:00Z", "step": "3600"}  # fmt: skip
    route = next(one for one in ROUTES if one.path == path)
    shape(route.answer, answers.ANSWERS[path](1_795_226_400_000, ask), path)


def test_any_number_opens_what_is_behind_it_down_to_the_receipt_and_back(page: Page) -> None:
    for lang, words in (("en", ("Behind this number", "Receipt")), ("zh", ("这个数字背后的会话", "凭据"))):
        page.open(f"lang={lang}&theme=light")
        page.do("document.querySelector('[data-of=backlog] a').focus()")
        page.press(ENTER)
        page.wait("return document.querySelectorAll('[data-item]').length === 12")
        assert "of=backlog" in page.do("return location.search")
        assert words[0] in page.text("main")
        page.press("j")
        page.wait("return document.activeElement.dataset.item === 'c-81'")
        page.press(ENTER)
        page.wait("return document.querySelector('.talk ol')?.children.length === 11")
        page.wait("return document.querySelector('.receipt .rcheck')")
        assert words[1] in page.text(".receipt")
        sent = page.do("return location.search")
        for place in ("page=behind", ""):
            page.press(ESCAPE)
            page.wait("return (location.search.match(/page=behind/) ?? [''])[0] === arguments[0]", place)
        page.open(sent.lstrip("?"))
        page.wait("return document.querySelector('.talk ol')?.children.length === 11")
        assert page.complaints() == []


def test_the_browsers_back_goes_back_and_the_board_is_as_it_was(page: Page) -> None:
    page.open("lang=en&filter=tech")
    page.do("document.querySelector('[data-of=sl] a').click()")
    page.wait("return location.search.includes('of=service_level')")
    page.driver.back()
    page.wait("return document.querySelectorAll('[data-row]').length === 1")
    assert "filter=tech" in page.do("return location.search")


def test_a_row_is_walked_with_the_arrow_keys_and_each_cell_opens(page: Page) -> None:
    page.open("lang=en")
    page.do("document.querySelector('[data-row=\"returns\"]').focus()")
    page.press(RIGHT * 3)
    page.wait("return document.activeElement.dataset.cell === 'oldest_ms'")
    page.press(ENTER)
    page.wait("return location.search.includes('of=oldest_ms') && location.search.includes('at=returns')")
    page.wait("return document.querySelector('.crumbs')?.innerText.includes('Returns')")
    _, ask = next(one for one in reversed(page.theatre.stage.asked) if one[0] == "/v1/conversations")
    assert (ask["metric"], ask["queue"], "window" in ask) == ("oldest_ms", "returns", False)


def test_who_may_not_see_conversations_has_numbers_without_links(page: Page) -> None:
    page.open("lang=en")
    assert page.do("return document.querySelectorAll('a.open').length") > 20
    page.theatre.play(surge, roles=("viewer",))
    page.open("lang=en")
    assert page.do("return document.querySelectorAll('a.open').length") == 0
    assert page.text('[data-of="backlog"]') == "91"
    page.theatre.play(surge, roles=("supervisor",))
    page.open("lang=en&view=tv", 1920, 1080)
    assert page.do("return document.querySelectorAll('main a').length") == 0


def test_the_list_draws_each_wait_against_the_target_and_the_waiting_last(page: Page) -> None:
    page.open("lang=en&" + LIST)
    page.wait("return document.querySelectorAll('[data-item]').length === 12")
    assert page.do("return document.querySelectorAll('.clist .dbar .target').length") == 12
    text = page.text(".clist ul").splitlines()
    assert "c-81" in text[1] or "c-81" in text[0]
    assert text[-1] == "still waiting"
    page.do("[...document.querySelectorAll('.clist .tool')].find((x) => x.innerText === 'Show more').click()")
    page.wait("return document.querySelectorAll('[data-item]').length === 24")


def test_the_waits_of_a_conversation_are_drawn_to_scale(page: Page) -> None:
    page.open("lang=en&" + TALK)
    page.wait("return document.querySelectorAll('.waits .w').length === 5")
    width = "return +document.querySelector('.waits .w.' + arguments[0]).getAttribute('width')"
    first, queue = page.do(width, "wait-first"), page.do(width, "wait-queue")
    assert first / queue == pytest.approx(271.1 / 258, rel=0.01)
    assert page.do("return document.querySelectorAll('.talk .f-wait').length") == 4
    thick = (
        "return [...document.querySelectorAll('.rail')].filter((x) => getComputedStyle(x).borderLeftWidth === '4px')"
    )
    assert page.do(thick + ".length") == 4
    assert "Text is masked" in page.text("main")


def test_a_receipt_that_does_not_agree_says_by_how_much(page: Page) -> None:
    page.theatre.stage.answers["/v1/receipt"] = answers.off
    page.open("lang=zh&" + TALK)
    page.wait("return document.querySelector('.rcheck.bad')?.innerText.includes('差 3,000 毫秒')")
    assert "两处不一致" in page.text(".receipt .phead")


def test_a_question_that_failed_stands_in_its_place_with_the_cause_and_the_next_try(page: Page) -> None:
    def away(now: int, ask: Mapping[str, str]) -> dict[str, Any]:
        return {"error": "", "mend": ""}

    page.theatre.stage.answers["/v1/receipt"] = away
    page.open("lang=en&" + TALK)
    page.wait("return document.querySelector('.receipt .failure')?.innerText.includes('ClickHouse does not answer')")
    page.wait(r"return /Retrying in \d+ s/.test(document.querySelector('.receipt .failure').innerText)")
    assert page.do("return document.querySelectorAll('.talk ol li').length") == 11
    page.theatre.stage.answers["/v1/receipt"] = answers.receipt
    page.do("document.querySelector('.receipt .failure button').click()")
    page.wait("return document.querySelector('.receipt .rcheck') && !document.querySelector('.failure')")


@pytest.mark.parametrize("query", PAGES)
def test_nothing_that_was_written_becomes_code(page: Page, query: str) -> None:
    def bad(make: Callable[[int, Mapping[str, str]], Any]) -> Callable[[int, Mapping[str, str]], Any]:
        return lambda now, ask: answers.hostile(make(now, ask))

    page.theatre.play(surge, roles=("admin",))
    page.theatre.stage.answers = {path: bad(make) for path, make in answers.ANSWERS.items()}
    page.open("lang=en&" + query)
    ready(page)
    assert page.do(ALIVE) == []
    assert "Tidewatch" in page.do("return document.title")
    assert page.complaints() == []
    assert page.do("return document.documentElement.scrollWidth") <= 1440


def test_the_hours_of_a_week_are_sums_and_no_mean_of_means(page: Page) -> None:
    page.open("lang=en&page=history")
    page.wait("return document.querySelectorAll('.hours tbody tr').length === 7")
    titles = page.do("return [...document.querySelectorAll('.hours td')].map((td) => td.title)")
    assert titles.count("nothing to judge yet") == 7 * 6
    grid = next(ask for path, ask in reversed(page.theatre.stage.asked) if "offered,answered" in ask.get("metric", ""))
    made = answers.history(0, grid)
    met, offered = made["series"][1]["values"], made["series"][0]["values"]
    assert sum(int(title.rpartition("n ")[2].replace(",", "")) for title in titles if "n " in title) == sum(offered)
    assert 0 < sum(met) < sum(offered)
    page.do("document.querySelector('main [aria-pressed]').click()")
    page.wait("return document.querySelectorAll('.panes tbody tr').length > 100")


def test_a_period_has_its_first_replies_topics_resolution_and_what_was_restated(page: Page) -> None:
    page.open("lang=en&page=history&period=today")
    page.wait("return document.querySelectorAll('.replies rect').length === 20")
    assert page.do("return document.querySelectorAll('.replies rect.late').length") == 14  # from the target on
    assert "target 60s" in page.do("return document.querySelector('.replies').textContent")
    spoken = page.do("return document.querySelector('.replies').getAttribute('aria-label')")
    assert spoken == "First response time, distribution: n 5,752, within 60s 72.6%"
    shown = page.text(".topicdays").replace("\t", " ")
    assert "Where is my parcel" in shown
    assert "31.0%" in shown
    assert page.text('[data-of="resolution"]').replace("\n", "") == "88.5%"
    assert "provisional, within 72 h" in page.text('[aria-label="Resolution"]')
    page.open("lang=en&page=history&period=7d")
    page.wait("return document.querySelectorAll('.topicdays .daybars rect').length === 5 * 7")
    assert "restated twice" in page.text("main") or "restated 2 times" in page.text("main")
    here = datetime.now(ZoneInfo("Asia/Shanghai"))
    day = "today" if (here - timedelta(minutes=80)).date() == here.date() else "yesterday"
    page.open(f"lang=en&page=history&period={day}&queue=returns")
    page.wait("return document.querySelector('main').innerText.includes('Customer messages 28 → 30')")


def test_the_page_of_alerts_has_the_old_ones_and_what_people_thought_of_each_rule(page: Page) -> None:
    page.open("lang=en")
    page.press("ga")
    page.wait("return document.querySelectorAll('.older li').length === 6")
    assert "surge 7 5 1 83% n 6 9m 00s" in " ".join(page.text(".plaintable").split())
    page.do("[...document.querySelectorAll('.older button')].find((x) => x.innerText === 'Noise').click()")
    page.theatre.ordered()


def test_a_board_has_its_own_tiles_queues_and_limits(page: Page) -> None:
    page.open("lang=en&board=returns-team")
    page.wait("return document.querySelectorAll('.kpis .tile').length === 4")
    page.wait("return document.querySelectorAll('[data-row]').length === 2")
    page.wait("return !document.querySelector('.tile.tone-critical [data-of=backlog]')")
    assert "Figures: the sum of Billing · Returns" in page.text(".filters")
    assert page.do("return document.querySelector('[aria-label=Queue] option').innerText") == "Returns team"
    assert page.text('[data-of="backlog"]') == "64"  # 58 of returns, 6 of billing
    assert page.text('[data-of="sl"]').replace("\n", "") == "42.8%"  # 151 + 85 of 452 + 99
    assert page.text('[data-of="frt"]') == "—"  # with those still waiting it cannot be had from parts
    page.do("document.querySelector('[data-of=sl] button').click()")
    page.wait("return document.querySelectorAll('dialog .parts a').length === 2")
    page.do("[...document.querySelectorAll('dialog .parts a')].find((a) => a.innerText === 'Billing').click()")
    ask = asked_last(page)
    assert (ask["metric"], ask["queue"]) == ("service_level", "billing")
    page.open("lang=en")
    page.wait("return !!document.querySelector('.tile.tone-critical [data-of=backlog]')")


@pytest.mark.parametrize(
    ("token", "whose", "told"),
    [
        ("*", "demo", {"tenant": "demo", "version": "a1b2"}),
        ("*", None, {"version": "a1b2"}),
        ("demo", "demo", {"tenant": "demo", "version": "a1b2"}),
        ("demo", None, {}),
    ],
)
def test_a_board_is_saved_as_whose_it_is(page: Page, token: str, whose: str | None, told: dict[str, str]) -> None:
    page.theatre.play(surge, tenant=token, roles=("admin",))
    page.theatre.stage.answers["/v1/boards"] = lambda now, ask: (
        answers.boards(now, ask) | {"boards": [answers.BOARD | {"tenant": whose}]}
    )
    page.open("lang=en&page=boards")
    page.wait("return document.querySelectorAll('.bcard button').length === 1")
    page.do("document.querySelector('.bcard button').click()")
    page.wait("return !!document.querySelector('dialog[open]')")
    removable = page.do("return document.querySelectorAll('dialog button.plain').length") > 0
    assert removable is ("version" in told)
    page.do("document.querySelector('dialog form').requestSubmit()")
    page.wait("return !document.querySelector('dialog[open]')")
    order = page.theatre.stage.orders[-1]["board"]
    assert isinstance(order, dict)
    assert {name: order[name] for name in ("tenant", "version") if name in order} == told


def test_only_an_admin_changes_boards(page: Page) -> None:
    page.open("lang=en&page=boards")
    ready(page)
    assert page.do("return document.querySelectorAll('main button').length") == 0
    page.theatre.play(surge, roles=("admin",))
    page.open("lang=en&page=boards")
    ready(page)
    page.wait("return document.querySelectorAll('.bcard button').length === 2")
    page.do("document.querySelector('.bcard button').click()")
    page.wait("return !!document.querySelector('dialog[open]')")
    page.do("document.querySelector('dialog textarea').value = 'backlog * nonsense x'")
    page.do("document.querySelector('dialog form').requestSubmit()")
    page.wait("return document.querySelector('.formerror').textContent.includes('not understood')")


def asked_last(page: Page) -> Mapping[str, str]:
    """What the page last asked `/v1/conversations`."""
    page.wait("return document.querySelectorAll('[data-item]').length === 12")
    return next(ask for path, ask in reversed(page.theatre.stage.asked) if path == "/v1/conversations")


def test_what_a_topic_counts_and_what_an_agent_holds_open_their_conversations(page: Page) -> None:
    page.open("lang=en&window=5m")
    topic = page.do("return document.querySelector('.tlist a.tnum').closest('li').querySelector('.tname').innerText")
    page.do("document.querySelector('.tlist a.tnum').click()")
    ask = asked_last(page)
    assert (ask["metric"], ask["window"], bool(ask["topic"]), "agent" in ask) == (
        "customer_messages", "30m", True, False,
    )  # fmt: skip
    assert topic in page.text(".crumbs")
    assert page.do("return document.querySelector('.receipt')") is None
    page.press(ESCAPE)
    page.wait("return !!document.querySelector('.byname summary')")
    page.do("document.querySelector('.byname summary').click()")
    page.do("document.querySelector('.byname a.tnum').click()")
    ask = asked_last(page)
    assert (ask["metric"], ask["queue"], bool(ask["agent"]), "topic" in ask) == ("open", "*", True, False)
    page.press(ESCAPE)
    page.wait("return !!document.querySelector('.agentsp .phead a')")
    page.do("document.querySelector('.agentsp .phead a').click()")
    assert asked_last(page)["metric"] == "open"
    assert page.complaints() == []


def test_a_step_of_a_course_and_an_hour_of_thirty_days_open_their_conversations(page: Page) -> None:
    page.open("lang=en&page=history&period=30d")
    page.wait("return document.querySelectorAll('.course a.step').length > 100")
    page.do("document.querySelector('.course a.step').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    ask = asked_last(page)
    assert (ask["metric"], "window" in ask) == ("customer_messages", False)
    assert span_s(ask) == 14_400
    page.driver.back()
    page.wait("return document.querySelectorAll('.hours td button').length > 7")
    page.do("document.querySelector('.hours td button').click()")
    page.wait("return document.querySelectorAll('dialog .eachday a').length > 1")
    page.do("document.querySelector('dialog .eachday a').click()")
    ask = asked_last(page)
    assert (ask["metric"], span_s(ask)) == ("service_level", 3_600)
    page.wait("return !document.querySelector('dialog')")
    page.driver.back()
    page.wait("return !!document.querySelector('main [aria-pressed]')")
    page.do("document.querySelector('main [aria-pressed]').click()")
    page.wait("return document.querySelectorAll('.panes td a').length > 100")
    page.open("lang=en&page=history&of=backlog")
    page.wait("return !!document.querySelector('.course')")
    assert page.do("return document.querySelectorAll('.course a').length") == 0
    assert page.complaints() == []


def span_s(ask: Mapping[str, str]) -> float:
    """How long the span of a question is, seconds."""
    since, until = (datetime.fromisoformat(ask[name]) for name in ("from", "to"))
    return (until - since).total_seconds()


def test_a_sound_that_the_browser_blocks_is_said_and_a_click_lets_it_sound(page: Page) -> None:
    page.open("lang=en")
    page.do(
        "window.AudioContext = class { constructor() { this.state = 'suspended'; } "
        "async resume() { this.state = window.lets ? 'running' : 'suspended'; } }"
    )
    label = "return [...document.querySelectorAll('button')].find((b) => b.textContent.includes('Sound'))"
    page.do(label + ".click()")
    page.wait(label + ".textContent.includes('Sound blocked, click')")
    assert page.do(label + ".getAttribute('aria-pressed')") == "false"
    page.do("window.lets = true")
    page.do(label + ".click()")
    page.wait(label + ".textContent.includes('Sound on')")
    page.do(label + ".click()")
    page.wait(label + ".textContent.includes('Sound off')")


def test_a_history_is_saved_as_a_file(page: Page) -> None:
    page.open("lang=en&page=history")
    page.wait("return document.querySelectorAll('.course').length === 1")
    page.do(
        "HTMLAnchorElement.prototype.click = function () { window.saved = this.download; };"
        "URL.createObjectURL = (blob) => { blob.text().then((text) => { window.file = text; }); return 'blob:x'; };"
    )
    page.do("[...document.querySelectorAll('.filters button')].find((b) => /CSV/.test(b.textContent)).click()")
    rows = list(csv.reader(io.StringIO(page.wait("return window.file"), newline=""), strict=True))
    assert rows[0] == ["at", "tenant", "queue", "channel", "customer_messages", "customer_messages_n"]
    assert len(rows) == 7 * 24 + 1
    assert rows[1][1:4] == ["demo", "*", "*"]
    assert page.do("return window.saved") == "tidewatch-demo-customer_messages.csv"


def test_a_copy_button_says_that_it_copied_or_that_it_cannot_and_goes_back(page: Page) -> None:
    page.open("lang=en&" + TALK + "&receipt=frt_ms")
    page.wait("return document.querySelectorAll('.receipt .abtns button').length === 3")
    button = "document.querySelector('.receipt .abtns button')"
    word = page.do(f"return {button}.textContent")
    page.do("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.do(f"{button}.click(); {button}.click()")
    page.wait(f"return {button}.textContent === 'Copied'")
    assert page.do("return window.copied.startsWith('SELECT')")
    page.wait(f"return {button}.textContent === arguments[0]", word)
    page.do("navigator.clipboard.writeText = async () => { throw new Error('no'); }")
    page.do(f"{button}.click()")
    page.wait(f"return {button}.textContent === 'Cannot copy'")
    page.wait(f"return {button}.textContent === arguments[0]", word)


BARE = r"""
  const found = [], texts = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement: at } = texts.currentNode;
    const told = '.open, svg, .hint, .quiet, .ahead, select, button, .planned, h2, h3, h4, dt, .tile .label > *';
    if (/\d/.test(data) && !at.closest(told + ', .astats, [data-row] td:nth-child(3) > small')) found.push(data.trim());
  }
  return [...new Set(found)];
"""
NO_CASES = re.compile(
    r"over \d.*|below \d.*|target \d.*|limit \d.*"  # limits
    r"|n [\d,]+|· n [\d,]+|95% CI .*"  # how sure the number beside it is, whose list it shares
    r"|usual .*|per min, .*× usual|[\d.]+× usual"  # what a model thinks usual
    r"|[+−]\d+|\d+%|(App|Web|WeChat) [+−]\d+"  # what is left over of an excess, its sum, its shares
    r"|4 more agents needed|. With 2 it clears.*|· 2 unknown"  # people, not conversations
    r"|Surge \d.*|learning, day .*|Last .*|7 queues, all shown|2 open · 1 resolved in 30 min|Zone .*"
)  # fmt: skip


def test_every_number_of_the_board_is_a_link_but_for_those_that_no_conversations_are_behind(page: Page) -> None:
    page.open("lang=en")
    bare = [text for text in page.do(BARE) if not NO_CASES.fullmatch(text)]
    assert bare == []
    assert page.do("return document.querySelectorAll('main .subs a.open').length") == 4
    for of in ("unassigned", "over_target", "undecided", "frt_p90_ms"):
        page.open("lang=en")
        page.do(
            "[...document.querySelectorAll('.subs a')].find((a) => a.href.includes(arguments[0])).click()", f"of={of}&"
        )
        page.wait("return document.querySelectorAll('[data-item]').length === 12")
        assert asked_last(page)["metric"] == of


def test_on_a_phone_each_step_down_to_the_receipt_is_a_link_too_and_nothing_lies_over_another(page: Page) -> None:
    page.open("lang=en&" + LIST, 390, 844)
    page.wait("return document.querySelectorAll('[data-item]').length === 12")
    page.do("document.querySelector('[data-item=c-81]').click()")
    page.wait("return document.querySelectorAll('.waits .instanttext').length === 2")
    page.settle()
    boxes = page.do(
        "return [...document.querySelectorAll('.waits .instanttext')].map((x) => x.getBoundingClientRect())"
    )
    first, second = sorted(boxes, key=lambda box: float(box["top"]))
    assert first["bottom"] <= second["top"] + 2 or first["right"] <= second["left"]
    page.do("[...document.querySelectorAll('main a.button')].find((a) => a.innerText === 'Receipt').click()")
    page.wait("return document.querySelector('.receipt .rcheck')")
    assert "receipt=frt_ms" in page.do("return location.search")
    page.press(ESCAPE)
    page.wait("return document.querySelector('.talk ol') && !location.search.includes('receipt')")


def test_on_a_phone_no_page_scrolls_sideways_nor_any_table_on_it(page: Page) -> None:
    page.theatre.play(surge, roles=("admin",))
    for query in PAGES:
        for lang in ("en", "zh"):
            page.open(f"lang={lang}&{query}", 390, 844)
            ready(page)
            wide = "return [...document.querySelectorAll('.scrollx')].filter((x) => x.scrollWidth > x.clientWidth + 1)"
            assert page.do(wide + ".length") == 0, (query, lang)
            low = "return Math.round(document.querySelector('.tabs').getBoundingClientRect().bottom)"
            assert page.do(low) == 844, (query, lang)


def test_a_number_whose_list_failed_is_still_called_by_its_name(page: Page) -> None:
    page.theatre.stage.answers["/v1/conversations"] = lambda now, ask: {"error": "", "mend": ""}
    for of, name in (
        ("service_level", "Service level"),
        ("backlog", "Backlog"),
        ("frt_p90_km_ms", "first response P90"),
    ):
        page.open(f"lang=en&page=behind&of={of}&at=returns")
        page.wait("return !!document.querySelector('.clist .failure')")
        assert name in page.text(".crumbs")
