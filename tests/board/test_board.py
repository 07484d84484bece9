"""The board as a reader meets it: every view at every width, in both languages; its states; its keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import pytest

from tests.board.answers import BOARD
from tests.board.conftest import Page
from tests.board.looks import ALIVE, DRESSES, WIDE, WIDTHS, fits, legible
from tests.board.scenes import Present, calm, crowded, empty, hostile, huge, surge, unlearned

pytestmark = pytest.mark.slow

VIEWS = [
    (surge, ""), (surge, "view=tv"), (surge, "view=tv&size=xl"), (unlearned, ""), (unlearned, "view=tv"), (empty, ""),
    (crowded, "tenant=demo"), (huge, ""), (empty, "view=tv"), (crowded, "tenant=demo&view=tv"), (huge, "view=tv"),
    (crowded, "tenant=demo&view=tv&size=xl"),
]  # fmt: skip


@pytest.mark.parametrize(("scene", "view"), VIEWS)
def test_every_view_fits_every_width_in_both_languages_and_themes(
    page: Page, scene: Callable[[int], Present], view: str
) -> None:
    page.theatre.play(scene)
    page.open(f"lang=zh&theme=dark&{view}", 1440, 1080)
    for lang, theme in DRESSES if scene is surge else (("zh", "dark"), ("en", "light")):
        page.dress(lang, theme)
        for width in WIDTHS if "tv" not in view else (1180, 1440, 1920):
            page.resize(width, 1080)
            fits(page, width, scene.__name__, view, lang, theme)
        legible(page, scene.__name__, view, lang, theme)


SMALL = """
  const found = [], texts = document.createTreeWalker(document.getElementById('app'), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const at = texts.currentNode.parentElement, style = getComputedStyle(at);
    const shown = at.getClientRects().length && !at.closest('.quiet, title') && style.clipPath === 'none';
    if (shown && texts.currentNode.data.trim() && parseFloat(style.fontSize) < 24) found.push(texts.currentNode.data);
  }
  return found;
"""


@pytest.mark.parametrize("scene", [surge, calm, empty, crowded, unlearned, huge])
def test_nothing_on_a_wall_is_smaller_than_24_pixels(page: Page, scene: Callable[[int], Present]) -> None:
    page.theatre.play(scene)
    page.open("lang=en&view=tv&tenant=demo" if scene is crowded else "lang=en&view=tv", 1920, 1080)
    assert page.do(SMALL) == []


def test_a_page_that_is_left_takes_its_connection_with_it_and_one_that_comes_back_has_one_again(page: Page) -> None:
    page.open("lang=en")
    viewers = page.theatre.stage.mirror.viewers
    (first,) = _settled(viewers, 1)
    page.driver.get("about:blank")
    _settled(viewers, 0)
    page.driver.back()
    page.wait("return document.querySelector('[data-of=backlog]')?.innerText === '91'")
    (second,) = _settled(viewers, 1)
    assert first is not second


def _settled(viewers: Collection[object], many: int) -> list[object]:
    """Who looks, once there are so many: long before one who does not answer would be cut."""
    end = time.monotonic() + 60
    while len(viewers) != many and time.monotonic() < end:
        time.sleep(0.02)
    assert len(viewers) == many
    return list(viewers)


def test_the_figures_are_those_of_the_feed(page: Page) -> None:
    page.open("lang=zh")
    assert page.text('[data-of="backlog"]') == "91"
    assert page.text('[data-of="sl"]').replace("\n", "") == "62.7%"
    assert page.text('[data-of="frt"]').replace("\n", "") == "3分42秒"
    assert page.text('[data-of="csat"]').replace("\n", "") == "82%"
    assert "n 1,068" in page.text(".kpis")
    assert "平时的 3.1 倍" in page.text(".alertsp")
    assert "退货退款" in page.text(".queues")


def test_the_worst_volume_alert_has_the_tide(page: Page) -> None:
    page.open("lang=en")
    assert page.text(".tidepanel h2").startswith("Returns")
    label = page.do("return document.querySelector('svg.tide').getAttribute('aria-label')")
    assert label == "Returns: 96 customer messages a minute, usual 31, Surge"
    page.theatre.play(calm)
    page.wait("return document.querySelector('.tidepanel h2').innerText.startsWith('All queues')")


def test_names_that_try_to_become_code_stay_text(page: Page) -> None:
    page.theatre.play(hostile)
    for query, width in (("lang=en", 1440), ("lang=zh&view=tv", 1920), ("lang=zh", 390), ("page=alerts", 1440)):
        page.open(query, width)
        assert page.do(ALIVE) == []
        assert "Tidewatch" in page.do("return document.title")
        links = page.do("return [...document.querySelectorAll('#app a[href]')].map((a) => a.protocol)")
        assert set(links) <= {"http:", "https:"}
        assert page.do("return document.documentElement.scrollWidth") <= width
        assert page.complaints() == []


def test_what_no_model_has_said_is_a_dash_and_never_guessed(page: Page) -> None:
    page.theatre.play(unlearned)
    page.open("lang=en")
    assert page.do("return document.querySelectorAll('.bandfill, .water, .usual').length") == 0
    assert "no usual level yet" in page.text(".tidepanel")
    assert "no model yet" in page.text(".topics")
    moods = page.do("return [...document.querySelectorAll('.queues tbody td:last-child')].map((td) => td.innerText)")
    assert set(moods) == {"—"}
    assert page.do("return document.querySelectorAll('.heat1, .heat2, .heat3').length") == 0


def test_before_the_first_message_the_board_says_what_to_do(page: Page) -> None:
    page.theatre.play(empty)
    page.open("lang=zh")
    assert "等待第一条消息" in page.text("main")
    assert "tidewatch replay" in page.text("main pre")
    assert page.text('[data-of="backlog"]') == "—"


def test_until_the_first_frame_nothing_is_said_of_any_number(page: Page) -> None:
    mute = "window.WebSocket = class { static OPEN = 1; close() {} }"
    told = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": mute})
    try:
        page.driver.get(page.theatre.address("lang=en"))
        page.wait("return document.querySelector('main')?.innerText.includes('Loading…')")
        assert page.do("return document.querySelectorAll('.kpis .bone').length") == 6
        assert not any(sign in page.text("main") for sign in ("—", "n 0", "No data"))
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", told)


def test_without_a_sign_in_the_page_says_so(page: Page) -> None:
    page.driver.get(page.theatre.address("as=none&lang=zh"))
    page.wait("return document.querySelector('.door')?.innerText.includes('请登录')")
    page.driver.get(page.theatre.address("as=ingest&lang=en"))
    page.wait("return document.querySelector('.door')?.innerText.includes('No right to look')")


def test_numbers_that_stand_still_turn_grey_with_the_reason_and_come_back(page: Page) -> None:
    page.open("lang=en")
    page.theatre.play(None)
    page.wait("return document.documentElement.classList.contains('stalled')")
    page.wait("return document.querySelector('.banner')?.innerText.includes('The workers send no new numbers')")
    page.wait("const of = (x) => getComputedStyle(document.querySelector(x)).color; return of('.value') === of('main')")
    page.theatre.play(surge)
    page.wait("return !document.documentElement.classList.contains('stalled')")
    assert page.do("return document.querySelector('.banner')") is None


def test_a_lost_connection_is_opened_again_and_shows_the_newest_numbers(page: Page) -> None:
    page.open("lang=en")

    def later(now: int) -> Present:
        present = surge(now)
        present["keys"][0]["backlog"] = 77
        return present

    page.theatre.drop()
    page.theatre.play(later)
    page.wait("return document.querySelector('[data-of=backlog]').innerText === '77'")


def test_to_acknowledge_takes_one_key_and_shows_at_once(page: Page) -> None:
    page.open("lang=en")
    page.press("a")
    page.wait("return document.querySelector('[data-alert=\"9f3c51\"] .astate').innerText.startsWith('Acknowledged')")
    order = page.theatre.ordered()
    assert order == {"do": "ack", "by": "李敏", "tenant": "demo", "alert": "9f3c51", "from": "127.0.0.1"}


def test_an_order_that_is_refused_falls_back_and_says_why(page: Page) -> None:
    page.open("lang=en")
    page.theatre.stage.refuse = True
    page.press("a")
    page.wait("return document.querySelector('.notice')?.innerText.includes('could not be stored')")
    assert page.text('[data-alert="9f3c51"] .astate') == "Not acknowledged"


def test_to_silence_asks_for_a_reason(page: Page) -> None:
    page.open("lang=zh")
    page.press("s")
    page.wait("return document.querySelector('dialog[open] input') === document.activeElement")
    page.press("演练\n")
    page.wait("return !document.querySelector('dialog')")
    order = page.theatre.ordered()
    assert (order["do"], order["reason"], order["minutes"]) == ("silence", "演练", 60)
    assert order["match"] == {"tenant": "demo", "rule": "surge", "queue": "returns", "channel": "*"}


def test_who_may_only_look_has_no_buttons_at_all(page: Page) -> None:
    page.theatre.play(surge, roles=("analyst",))
    page.open("lang=en")
    assert page.do("return document.querySelectorAll('[data-do]').length") == 0
    page.press("a")
    assert page.theatre.stage.orders == []


def test_the_keys_of_the_design_work_and_stay_out_of_fields(page: Page) -> None:
    page.open("lang=en&theme=dark")
    page.press("1")
    page.wait("return location.search.includes('window=1m')")
    page.press("/")
    page.press("te")
    page.wait("return document.querySelectorAll('[data-row]').length === 1")
    assert "filter=te" in page.do("return location.search")
    assert page.do("return document.documentElement.dataset.view") == "desk"
    page.press("\ue00c")
    page.press("\ue00c")
    page.wait("return document.querySelectorAll('[data-row]').length === 7")
    page.press("d")
    page.wait("return document.documentElement.dataset.theme === 'light'")
    page.press("e")
    page.wait("return document.documentElement.lang === 'zh-CN'")
    page.press("j")
    page.wait("return document.activeElement.matches('[data-alert], [data-row]')")
    page.press("?")
    page.wait("return !!document.querySelector('dialog[open]')")
    page.press("\ue00c")
    page.wait("return !document.querySelector('dialog')")
    page.press("ga")
    page.wait("return location.search.includes('page=alerts')")
    page.press("gl")
    page.wait("return !location.search.includes('page=')")
    page.press("t")
    page.wait("return document.documentElement.dataset.view === 'tv'")
    page.press("t")
    page.press("r")
    page.wait("return document.querySelector('#polite').textContent.startsWith('待处理 91')")


def test_focus_survives_every_frame(page: Page) -> None:
    page.open("lang=en")
    page.do("document.querySelector('[data-row=\"tech\"]').focus(); window.before = document.activeElement")
    first = page.text(".strip")
    page.wait("return document.querySelector('.strip').innerText !== arguments[0]", first)
    assert page.do("return document.activeElement === window.before && document.activeElement.dataset.row") == "tech"


def test_five_hundred_queues_are_one_picture_and_only_the_rows_in_sight(page: Page) -> None:
    page.theatre.play(huge)
    page.open("lang=en", 1440, 1180)
    assert page.do("return document.querySelectorAll('.qmap rect').length") == 500
    assert page.do("return document.querySelectorAll('[data-row]').length") < 60
    assert "of 500" in page.text(".tablepanel .phead")
    assert "Surge" in page.do("return document.querySelector('[data-row]').innerText")
    first = page.do("return document.querySelector('[data-row]').dataset.row")
    page.do("scrollTo(0, 9000)")
    page.wait("return document.querySelector('[data-row]').dataset.row !== arguments[0]", first)
    page.wait("const r = [...document.querySelectorAll('[data-row]')].find((x) => x.getBoundingClientRect().top > 100);"
              "return r && r.querySelectorAll('.spark path').length > 0")  # fmt: skip
    assert page.complaints() == []


def test_a_flood_of_alerts_is_five_cards_and_a_number(page: Page) -> None:
    page.theatre.play(crowded)
    page.open("lang=en&tenant=demo")
    assert page.do("return document.querySelectorAll('.alert:not(.sev-quiet)').length") <= 5
    assert "9 more" in page.text(".folded")
    page.open("lang=zh&tenant=demo&page=alerts")
    assert "已静默至" in page.text(".alertsp")
    assert "李敏：演练" in page.text(".alertsp")


def test_a_tenant_of_another_year_says_which_day_its_numbers_are_of(page: Page) -> None:
    page.theatre.play(crowded)
    page.open("lang=zh&tenant=replayed")
    page.wait(r"return /\d{4} 年 \d+ 月 \d+ 日 \d\d:\d\d:\d\d/.test(document.querySelector('.strip').innerText)")
    assert "Europe/Berlin" in page.text(".filters")
    assert not page.do("return document.documentElement.classList.contains('stalled')")


def test_a_lag_between_five_and_thirty_seconds_is_said_and_greys_nothing(page: Page) -> None:
    page.theatre.play(crowded)
    page.open("lang=en&tenant=demo")
    assert "Ingest lag 12 s" in page.text(".strip .late")
    assert "10/12" in page.text(".strip")
    assert not page.do("return document.documentElement.classList.contains('stalled')")


@pytest.mark.parametrize("larger", [False, True])
def test_the_layout_survives_the_widest_face_and_larger_text(page: Page, larger: bool) -> None:
    page.open("lang=zh")
    page.do(WIDE, "DejaVu Sans", larger)
    for lang in ("zh", "en"):
        page.dress(lang, "dark")
        for width in WIDTHS:
            page.resize(width)
            fits(page, width, lang, larger)
    page.open("lang=en&view=tv", 1920, 1080)
    page.do(WIDE, "DejaVu Sans", False)
    page.settle()
    fits(page, 1920, "tv")


def test_the_page_speaks_the_browsers_language_unless_told_otherwise(page: Page) -> None:
    page.do("localStorage.clear()")
    page.open("")
    assert page.do("return document.documentElement.lang") == "en"
    page.open("lang=zh")
    assert page.do("return document.documentElement.lang") == "zh-CN"


def test_landmarks_and_live_regions_are_there(page: Page) -> None:
    page.open("lang=en")
    for selector in (
        "header",
        "nav[aria-label]",
        "main#main",
        "aside[aria-label]",
        "[aria-live=polite]",
        "[aria-live=assertive]",
    ):
        assert page.do("return !!document.querySelector(arguments[0])", selector), selector
    unnamed = page.do(
        "return [...document.querySelectorAll('svg[role=img]')].filter((x) => !x.getAttribute('aria-label')).length"
    )
    assert unnamed == 0
    assert page.do("return [...document.querySelectorAll('[style]')].length") == 0


def test_what_a_link_says_in_vain_is_told_and_the_rest_counts(page: Page) -> None:
    page.open("lang=en&window=7m&nonsense=1&queue=tech")
    told = page.text(".notice")
    assert "window=7m" in told
    assert "nonsense=1" in told
    assert page.text('[data-of="backlog"]') == "7"
    page.do("document.querySelector('.notice button').click()")
    page.wait("return !document.querySelector('.notice')")
    assert "nonsense" not in page.do("return location.search")


def test_a_tenant_that_one_may_not_see_is_a_message_and_nobody_elses_numbers(page: Page) -> None:
    page.open("lang=en&tenant=secret")
    assert "There is no tenant secret here" in page.text(".door")
    assert page.do("return document.querySelectorAll('.tile').length") == 0
    page.do("document.querySelector('.door a').click()")
    page.wait("return document.querySelectorAll('.tile').length === 6")


def test_a_queue_that_is_not_there_is_said(page: Page) -> None:
    page.open("lang=zh&queue=nowhere")
    assert "没有 nowhere" in page.text(".filters")
    assert page.text('[data-of="backlog"]') == "—"


@pytest.mark.parametrize("garbage", ["{oops", "[]", '{"kind": "snapshot", "keys": [1]}', '{"kind": "hello"}'])
def test_a_gateway_that_answers_garbage_is_called_that(page: Page, garbage: str) -> None:
    page.theatre.stage.garble = garbage
    page.driver.get(page.theatre.address("lang=en"))
    page.wait("return document.querySelector('main')?.innerText.includes('answers cannot be read')")
    page.theatre.stage.garble = ""
    page.wait("return document.querySelector('[data-of=backlog]')?.innerText === '91'")
    assert page.complaints() == []


def test_frames_that_cannot_be_drawn_show_a_message_and_no_numbers(page: Page) -> None:
    def odd(now: int) -> Present:
        present = surge(now)
        present["lists"]["demo"]["alerts"][0]["drivers"] = {"not": "a list"}
        return present

    page.open("lang=en")
    page.theatre.play(odd)
    page.wait("return document.querySelector('.door')?.innerText.includes('cannot be shown')")
    page.theatre.play(surge)
    page.wait("return document.querySelector('[data-of=backlog]')?.innerText === '91'")
    page.complaints()


def test_a_browser_whose_clock_is_an_hour_off_shows_the_same(page: Page) -> None:
    late = "const real = Date.now; Date.now = () => real() - 3600e3"
    told = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": late})
    try:
        page.open("lang=en")
        off = page.do("return Date.now()") / 1000 - time.time()
        assert off == pytest.approx(-3600, abs=30)
        assert "6m 2" in page.text(".tidepanel .mark")
        assert "Live" in page.text(".strip")
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", told)


def test_the_drivers_of_each_dimension_add_up_to_the_same_excess(page: Page) -> None:
    page.open("lang=en")
    for name, rows in (("Channel", 4), ("Topic", 4)):
        page.do(
            "[...document.querySelectorAll('.dims button')].find((x) => x.innerText === arguments[0]).click()", name
        )
        page.wait("return document.querySelectorAll('.drivers li').length === arguments[0]", rows)
        shown = page.do("return [...document.querySelectorAll('.drivers .dnum')].map((x) => +x.innerText)")
        assert sum(shown[:-1]) == shown[-1] == 65


def test_a_folded_card_opens_and_folds_again(page: Page) -> None:
    page.open("lang=en")
    page.do("document.querySelector('[data-alert=\"44aa07\"]').focus()")
    page.press("\ue007")
    page.wait("return !!document.querySelector('[data-alert=\"44aa07\"] .impact')")
    page.press("\ue007")
    page.wait("return !document.querySelector('[data-alert=\"44aa07\"] .impact')")


def test_a_number_of_few_cases_has_no_colour_and_says_how_few(page: Page) -> None:
    def few(now: int) -> Present:
        present = surge(now)
        key = next(key for key in present["keys"] if key["queue"] == "returns")
        key["windows"]["30m"] |= {"frt_km_n": 12}
        return present

    page.theatre.play(few)
    page.open("lang=en")
    cell = "document.querySelector('[data-row=returns] [data-cell=frt_p90_km_ms]').closest('td')"
    page.wait(f"return {cell}.innerText.includes('n 12')")
    assert "heat" not in page.do(f"return {cell}.className")


def test_what_a_filter_finds_is_said(page: Page) -> None:
    page.open("lang=en")
    page.do("const f = document.getElementById('filter'); f.value = 'tech'; f.dispatchEvent(new Event('input'))")
    page.wait("return document.querySelector('#polite').textContent === '1 of 7 found'")


def test_the_words_beside_a_figure_show_under_the_pointer_and_the_focus(page: Page) -> None:
    page.open("lang=en")
    assert page.do("return getComputedStyle(document.querySelector('#hint-frt')).display") == "none"
    page.do("document.querySelector('[data-of=frt] a').focus()")
    page.wait("return getComputedStyle(document.querySelector('#hint-frt')).display !== 'none'")
    assert "cannot look good because people are still waiting" in page.text("#hint-frt")


def test_the_wall_turns_its_ribbon_and_stops_for_a_critical_alert(page: Page) -> None:
    page.theatre.stage.answers["/v1/boards/fast"] = lambda now, ask: (
        BOARD | {"rotate": {"every_s": 1, "ribbons": ["queues", "agents"]}}
    )
    page.open("lang=en&view=tv&board=fast", 1920, 1080)
    assert "Rotation pauses" in page.text(".pager")
    page.theatre.play(calm)
    page.theatre.stage.answers["/v1/boards/fast"] = lambda now, ask: (
        BOARD | {"rotate": {"every_s": 1, "ribbons": ["queues", "agents"]}}
    )
    page.wait("return document.querySelector('.pager').innerText.startsWith('Agents')")
    page.wait("return document.querySelector('.pager').innerText.startsWith('Backlog')")


def test_the_queues_of_a_phone_are_a_table_where_the_reader_asks_for_it(page: Page) -> None:
    page.open("lang=en", 390, 844)
    assert page.do("return document.querySelectorAll('.tabs a').length") == 4
    page.do("document.querySelector('.qlist button').click()")
    page.wait("return document.querySelectorAll('.queues [data-row]').length === 7")
    assert page.do("return document.documentElement.scrollWidth") <= 390


def test_parity_stands_in_the_strip_and_a_fault_is_no_colour_alone(page: Page) -> None:
    page.open("lang=en")
    assert "agree, checked" in page.do("return document.querySelector('.paritied').title")
    page.theatre.play(crowded)
    page.open("lang=en&tenant=demo")
    assert "Stored ≠ shown 2" in page.text(".strip .broken")
    assert page.do("return !!document.querySelector('.strip .broken .i-error')")
