from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.masking import mask

CHANCE = random.Random(20261121)
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
SPOKEN = str.maketrans("0123456789", "零一二三四五六七八九")
COUNTED = str.maketrans("0123456789", "〇幺二三四五六七八九")
SENTENCES = ["{}", "我的号码是{}，请尽快联系", "手机{}谢谢", "call me at {} please", "证件：{}。", "a {} b", "（{}）"]


def digits(count: int) -> str:
    return "".join(CHANCE.choice("0123456789") for _ in range(count))


def with_luhn(body: str) -> str:
    total = 0
    for place, char in enumerate(reversed(body)):
        value = int(char) * (2 - place % 2)
        total += value - 9 * (value > 9)
    return body + str(-total % 10)


def phone() -> str:
    return "1" + CHANCE.choice("3456789") + digits(9)


def bank_card() -> str:
    prefix, length = CHANCE.choice(
        [
            ("622848", 19),
            ("621700", 19),
            ("4111", 16),
            ("52", 16),
            ("436742", 16),
            ("955880", 19),
            ("37", 15),
            ("4", 13),
        ]
    )
    return with_luhn(prefix + digits(length - 1 - len(prefix)))


def id_card() -> str:
    body = f"{CHANCE.choice(['110105', '440301', '310115'])}{CHANCE.randint(1940, 2015)}{CHANCE.randint(1, 12):02d}"
    body += f"{CHANCE.randint(1, 28):02d}{digits(3)}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(a) * b for a, b in zip(body, weights, strict=True)) % 11]


def mail() -> str:
    name = CHANCE.choice(["zhang.san", "li_si", "a+b", "x"]) + digits(2)
    return f"{name}@{CHANCE.choice(['qq.com', '163.com', 'mail.example.co.uk', 'a-b.cn'])}"


DISGUISES: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: text.translate(WIDE),
    lambda text: text.translate(SPOKEN),
    lambda text: text.translate(COUNTED),
    " ".join,
    "-".join,
    "\u200b".join,
    lambda text: " ".join(text[at : at + 4] for at in range(0, len(text), 4)),
    lambda text: "-".join(text[at : at + 4] for at in range(0, len(text), 4)),
    lambda text: "".join(char.translate(SPOKEN) if CHANCE.random() < 0.4 else char for char in text),
    lambda text: f"{text[:3]} {text[3:7]} {text[7:]}",
]
KINDS = {"<phone>": phone, "<bank-card>": bank_card, "<id-card>": id_card, "<email>": mail}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_plainly_is_always_found(kind: str) -> None:
    for _ in range(1_000):
        said = CHANCE.choice(SENTENCES)
        assert mask(said.format(KINDS[kind]())) == said.format(kind)


@pytest.mark.parametrize("kind", ["<phone>", "<bank-card>", "<id-card>"])
def test_disguised_numbers_are_found_in_at_least_99_of_100(kind: str) -> None:
    found = 0
    for _ in range(2_000):
        said = CHANCE.choice(SENTENCES)
        found += mask(said.format(CHANCE.choice(DISGUISES)(KINDS[kind]()))) == said.format(kind)
    assert found >= 0.99 * 2_000


@pytest.mark.parametrize(
    "said",
    [
        "我的订单号是20261121123456789，还没到",
        "运单 SF1234567890123 到哪了",
        "YT6222021234567 签收了吗",
        "order no. 4111111111111111 please",
        "2026-11-21 10:00:00.123",
        "2026.11.21 10.30.15.123456",
        "13-11-2026 9.45",
        "1790000000123",
        "¥12345678.90",
        "共 12,345,678,901 元",
        "ISBN 9787111234567",
        "sha 1e4d13912345678ab",
        "sku 6901234567892",
        "@ 10:00 a@b c@ d",
        "一二三四五，上山打老虎",
    ],
)
def test_what_is_no_secret_stays_readable(said: str) -> None:
    assert mask(said) == said


def test_order_and_parcel_numbers_are_left_alone_in_98_of_100() -> None:
    kept = 0
    for _ in range(3_000):
        said = CHANCE.choice(
            [
                f"订单号{digits(CHANCE.randint(8, 20))}",
                f"运单号：{digits(CHANCE.randint(10, 15))}",
                f"SF{digits(13)}",
                f"JD{digits(15)}",
                f"order {digits(12)}",
                f"2026{CHANCE.randint(1, 12):02d}{CHANCE.randint(1, 28):02d}{digits(10)}",
                f"17{digits(11)}",
                f"{CHANCE.randint(1, 10**7)}.{digits(2)} 元",
            ]
        )
        kept += mask(said) == said
    assert kept >= 0.98 * 3_000


def test_several_in_one_text_are_each_replaced_by_their_kind() -> None:
    said = "卡 6228480402564890018 手机+86 13912345678 或 8613812345678，邮箱 ｚ@qq.com"
    assert mask(said) == "卡 <bank-card> 手机+<phone> 或 <phone>，邮箱 <email>"


def test_an_id_card_that_ends_in_x_goes_with_its_x() -> None:
    assert mask("身份证11010519491231002X，13912345678") == "身份证<id-card>，<phone>"
    assert mask("１１０１０５１９４９１２３１００２ｘ") == "<id-card>"


@pytest.mark.parametrize("wrong", ["6228480402564890010", "110105194912310021", "110105194913310029"])
def test_a_wrong_check_digit_or_birthday_is_no_card(wrong: str) -> None:
    assert mask(wrong) == wrong


_pieces = st.sampled_from(
    ["13912345678", "6228480402564890018", "11010519491231002X", "a@qq.com", "@", " ", "-", "一三九", "订单", "SF", "x",
     "X", "order ", "86", "0", "1", "6", "\u200b", "＠", ".", "<phone>", "谢谢", "٣", "\U0001d7d7", "\x00", "91", "４"]
)  # fmt: skip


@given(st.lists(_pieces, max_size=14).map("".join) | st.text(max_size=60))
def test_masking_twice_is_masking_once(said: str) -> None:
    assert mask(mask(said)) == mask(said)


@given(
    st.text(
        alphabet=st.characters(
            exclude_categories=["Nd", "Nl", "No"],
            exclude_characters="@＠﹫零〇○洞一壹幺二贰三叁四肆五伍六陆七柒八捌九玖",
        )
    )
)
def test_a_text_without_digits_and_addresses_is_left_as_it_is(said: str) -> None:
    assert mask(said) == said


@pytest.mark.parametrize("piece", ["6", "6 2 ", "@", "a.b@", "一三九 ", "1", "13912345678 ", "a", "\u200b1", "4111-"])
def test_hostile_texts_take_linear_time(piece: str) -> None:
    def took(length: int) -> float:
        said = (piece * length)[:length]
        times = []
        for _ in range(3):
            begun = time.thread_time()
            mask(said)
            times.append(time.thread_time() - begun)
        return min(times)

    assert took(32_000) < 0.5
    assert took(32_000) < 16 * took(8_000) + 0.02
