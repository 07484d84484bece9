"""What is read out of a message: its words, and how it sounds."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.words import KEPT, MOST, read, sentiment, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("我的订单还没到，请帮我查一下物流信息", {"订单", "物流", "信息", "没到"}),
        ("Where is my PARCEL? The tracking page shows nothing", {"parcel", "tracking", "page"}),
        ("refund 退款 faster please", {"refund", "退款", "faster"}),
        ("ok thanks", set()),
        ("你好，在吗", set()),
        ("", set()),
    ],
)
def test_words_are_what_a_message_is_about_and_no_stop_words(text: str, found: set[str]) -> None:
    assert set(words(text)) == found


@pytest.mark.parametrize(
    "text",
    [
        "手机<phone>，身份证<id-card>，邮箱<email> <bank-card>",
        "订单号 AB-123456 20261121001 ord_99 1e4d139",
        "see https://shop.example/refund?id=secretword and www.example.com/private",
        "我叫张伟丽，一三八零零一三八",
        "My name is Jonathan Smith",
        "my name's Miriam",
        "张伟丽投诉，韩梅梅的快递，刘先生的包裹，我是李雷",
    ],
)
def test_nothing_that_names_a_person_or_an_order_is_a_word(text: str) -> None:
    for secret in (
        "phone",
        "card",
        "email",
        "bank",
        "123",
        "ord",
        "1e4d",
        "secret",
        "private",
        "韩梅",
        "梅梅",
        "先生",
        "李雷",
        "张伟",
        "伟丽",
        "一三八",
        "jonathan",
        "smith",
        "miriam",
        "ab",
    ):
        assert not any(secret in word for word in words(text)), secret


def test_at_most_eight_words_the_rarest_first() -> None:
    found = words("parcel invoice refund voucher courier warehouse shipment tracking xylophone order account")
    assert len(found) == KEPT
    assert "xylophone" in found
    assert "order" not in found


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ("太差劲了，骗子", "不太好"),
        ("不太好", "你好，我要退款"),
        ("我要退款", "非常满意，谢谢"),
        ("this is unacceptable, worst service ever!!", "not good"),
        ("not good", "where is it"),
        ("where is it", "thank you so much, great help"),
        ("不满意", "满意"),
        ("bad", "not bad"),
        ("很失望！！", "有点失望"),
        ("😡", "🙂"),
    ],
)
def test_what_sounds_worse_has_less(worse: str, better: str) -> None:
    assert sentiment(worse) < sentiment(better)


def test_a_message_without_feeling_is_neutral_and_angry_ones_are_negative() -> None:
    assert sentiment("我的订单号是多少") == 0.0
    for text in ("你们太差劲了，一直没人回复", "terrible service, I am furious", "垃圾平台，骗子"):
        assert sentiment(text) < -0.3, text


@given(st.text(max_size=300))
def test_any_text_is_read_within_bounds_and_always_the_same(text: str) -> None:
    found = read(text)
    assert found == read(text)
    assert -1 <= found.sentiment <= 1
    assert found.sentiment == round(found.sentiment, 3)
    assert len(found.words) == len(set(found.words)) <= KEPT


@pytest.mark.parametrize(
    "text",
    ["\ud800退款\udfff", "\u202e退\u200b款\u2066", "a" * 65_536, "a1" * 32_768, "差" * 65_536, "!" * 65_536,
     "my name is " * 6_000, "<" * 65_536, "https://" + "x" * 65_536, "👍" * 30_000, "a'" * 30_000,
     "_" * 65_536, "A-" * 30_000, "姓名：" * 20_000],
    ids=range(14),
)  # fmt: skip
def test_hostile_text_costs_little(text: str) -> None:
    read("warm")
    begun = time.process_time()
    read(text)
    assert time.process_time() - begun < 0.5  # of processor: what is quadratic takes many seconds


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    assert words("的" * MOST + "退款") == []


def test_a_command_that_reads_no_text_loads_no_dictionary() -> None:
    code = "import sys, models.words, streams.stamps; print('rjieba' in sys.modules, 'jieba' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
