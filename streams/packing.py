"""How a conversation is kept: its fields as nested arrays of plain values, as msgpack has them, and back.

The order of the fields is that of the kept form: a new one goes to the end, and `streams.line.FORM` rises.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streams.conversation import Conversation
from streams.entries import Log
from streams.episode import NO_HINTS, Episode, Hints, Mark, Memory
from streams.events import Hold
from streams.heads import Head
from streams.standing import Cohort, Stance, Standing
from streams.windows import known, never


def packed(one: Conversation) -> bytes:
    """A conversation as bytes."""
    log = one.log
    fields = (
        one.tenant, one.id, None if one.stance is None else _of_stance(one.stance), one.wake, one.number,
        _of_memory(one.memory), _of_memory(one.base), (log.n, log.at, log.tail, log.packed), one.late,
        [_of_episode(episode) for episode in one.episodes], one.outside or {}, one.greatest_at, one.clock,
        one.forgotten, [_of_standing(standing) for standing in one.standings], one.version, one.round,
    )  # fmt: skip
    value: bytes = _pack(fields)
    return value


def unpacked(value: bytes) -> Conversation:
    """The conversation that these bytes are."""
    row: list[Any] = _unpack(value)
    n, at, tail, entries = row[7]
    one = Conversation(row[0], row[1], Memory(*row[5]), Memory(*row[6]), Log(n, at, tail, bytearray(entries)))
    one.stance = None if row[2] is None else _stance(row[2])
    one.wake, one.number, one.late = row[3], row[4], tuple(row[8])
    one.episodes = [_episode(fields) for fields in row[9]]
    one.last = one.episodes[-1] if one.episodes else None
    one.outside, one.greatest_at, one.clock, one.forgotten = row[10] or None, row[11], row[12], row[13]
    one.standings = [_standing(fields) for fields in row[14]]
    one.version, one.round = row[15], row[16]
    return one


def stance_of(head: Head) -> Stance | None:
    """What the gauges hold of a conversation that is kept."""
    return None if head.stance is None else _stance(head.stance)


def _of_stance(one: Stance) -> tuple[Any, ...]:
    return (
        one.queue, one.channel, one.state, one.agent, known(one.since), known(one.due), known(one.waits_from),
        one.opened, one.episode,
    )  # fmt: skip


def _stance(row: list[Any]) -> Stance:
    return Stance(row[0], row[1], row[2], row[3], never(row[4]), never(row[5]), never(row[6]), row[7], row[8])


def _of_memory(one: Memory) -> tuple[Any, ...]:
    return (one.queue, one.channel, one.customer)


def _of_standing(one: Standing) -> tuple[Any, ...]:
    cohort = one.cohort
    if cohort is None:
        return (one.channel, None, one.closing, one.rating)
    counted = (
        cohort.demand_queue, cohort.credit, cohort.minute, cohort.outcome, cohort.ms, cohort.within, cohort.connected,
        cohort.reopen, known(cohort.ended),
    )  # fmt: skip
    return (one.channel, counted, one.closing, one.rating)


def _standing(fields: list[Any]) -> Standing:
    channel, cohort, closing, rating = fields
    counted = None
    if cohort is not None:
        demand_queue, credit, minute, outcome, ms, within, connected, reopen, ended = cohort
        counted = Cohort(demand_queue, credit, minute, outcome, ms, within, connected, reopen, never(ended))
    return Standing(channel, counted, _tuple(closing), _tuple(rating))


def _of_episode(one: Episode) -> tuple[Any, ...]:
    hints = one.hints
    return (
        one.number, one.start, _of_memory(one.before), (hints.stayed, hints.engages, hints.unasked), one.channel,
        one.queue, one.opened_at, one.reopen, one.outbound, one.customer, one.held, one.holds,
        known(one.assigned_at), known(one.handled_from), known(one.first_customer_at), one.engaged, one.asked,
        one.spoken, known(one.demand_at), one.demand_queue, known(one.target_ms), known(one.short_ms),
        known(one.reply_at), one.reply_agent, one.credit_queue, known(one.frt_customer_ms), known(one.frt_any_ms),
        known(one.greeting_ms), known(one.unanswered_since), one.replies, one.stay, one.stays, known(one.left_ms),
        known(one.gone_at), one.leavings, known(one.away_at), one.away_mark, known(one.closed_at), one.by_clock,
        one.resolved, one.score,
        one.rated_at, one.rated_queue, one.agent_topic, one.customer_messages, one.agent_messages, one.bot_messages,
        one.transfers, one.last_at, [(mark.queue, mark.minute, mark.counts()) for mark in one.marks], one.sentiment_n,
        one.sentiment_sum, one.gains or {},
    )  # fmt: skip


def _episode(row: list[Any]) -> Episode:
    if len(row) < _FIELDS:
        row += [0, 0, {}][len(row) - _FIELDS :]
    hints = Hints(tuple(row[3][0]), *row[3][1:]) if any(row[3]) else NO_HINTS
    one = Episode(row[0], row[1], Memory(*row[2]), hints, row[4], row[5], row[6], row[7], row[8])
    one.customer, one.held, one.assigned_at, one.handled_from = row[9], row[10], never(row[12]), never(row[13])
    one.holds = [Hold(*hold) for hold in row[11]]
    one.first_customer_at, one.engaged, one.asked, one.spoken = never(row[14]), row[15], row[16], row[17]
    one.demand_at, one.demand_queue, one.target_ms, one.short_ms = (
        never(row[18]),
        row[19],
        never(row[20]),
        never(row[21]),
    )
    one.reply_at, one.reply_agent, one.credit_queue = never(row[22]), row[23], row[24]
    one.frt_customer_ms, one.frt_any_ms, one.greeting_ms = never(row[25]), never(row[26]), never(row[27])
    one.unanswered_since, one.replies, one.stay = never(row[28]), row[29], _tuple(row[30])
    one.stays = [(queue, ms) for queue, ms in row[31]]
    one.left_ms, one.gone_at, one.leavings, one.away_at = never(row[32]), never(row[33]), tuple(row[34]), never(row[35])
    one.away_mark, one.closed_at, one.by_clock, one.resolved = _tuple(row[36]), never(row[37]), row[38], row[39]
    one.score, one.rated_at, one.rated_queue, one.agent_topic = row[40], row[41], row[42], row[43]
    one.customer_messages, one.agent_messages, one.bot_messages = row[44], row[45], row[46]
    one.transfers, one.last_at = row[47], row[48]
    one.marks = [_mark(queue, minute, counts) for queue, minute, counts in row[49]]
    one.sentiment_n, one.sentiment_sum, one.gains = row[50], row[51], row[52] or None
    return one


def _mark(queue: str, minute: int, counts: dict[int, int]) -> Mark:
    one = Mark(queue, minute)
    for number, n in counts.items():
        one.add(number, n)
    return one


_FIELDS: Final = 53
"""Of an episode. The last three came later: rows of before have them not, and are read."""


def _tuple(fields: list[Any] | None) -> Any:
    return None if fields is None else tuple(fields)


_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder().decode
