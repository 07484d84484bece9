-- Tidewatch's history. Run on every start, in the database named by the settings (default `tidewatch`); every statement may be repeated.
--
-- Tables ending in `_base` hold rows that replace themselves: the newest version of a key stands. They may hold older versions until
-- they merge, so nobody reads them directly: the views below have the public names and give right answers at any moment.
--
-- Units: `…_ms` milliseconds; instants are UTC with milliseconds; shares run from 0 to 1; what is absent is NULL.
-- "Now" is `clocks.as_of` of the row's tenant: the tick up to which everything is stored. What each number means: docs/metrics.md.
--
-- `frt_hist` maps the lower bound of a bucket, in ms, to how many first responses fell into it. Below 256 ms a bucket is 1 ms wide;
-- above, its lower bound is the wait cut to its eight leading bits: 256, 258, 260 … 510, 512, 516 …; so at most 0.8 % below the wait.
--
-- Parts are written through to the disk before an insert is answered (`fsync_…`): the position that the sink remembers is never
-- ahead of the rows it stands for, not even after a power cut.

CREATE TABLE IF NOT EXISTS events_base
(
    tenant String COMMENT 'Tenant',
    subject String COMMENT 'c: and the conversation, or a: and the agent (of agent_status): what an id is unique in',
    id String COMMENT 'Id, unique in its subject',
    v UInt8 COMMENT 'Version of the form',
    kind LowCardinality(String) COMMENT 'message, opened, handoff, queued, assigned, transferred, customer_left, customer_back, closed, rated, label, agent_status',
    at DateTime64(3, 'UTC') COMMENT 'When it happened, as the source gave it',
    event_time DateTime64(3, 'UTC') COMMENT 'When it happened, as it counts: at, or received_at where at lies over 120 s ahead of it',
    seq UInt64 COMMENT 'Order among events of the conversation with the same at',
    conversation Nullable(String) COMMENT 'Conversation; NULL for agent_status',
    channel Nullable(String) COMMENT 'Channel, as given',
    queue Nullable(String) COMMENT 'Queue, as given',
    customer Nullable(String) COMMENT 'Customer across channels, as given',
    author LowCardinality(Nullable(String)) COMMENT 'customer, agent, bot or system',
    author_id Nullable(String) COMMENT 'Who wrote it',
    text Nullable(String) COMMENT 'Masked text',
    type LowCardinality(Nullable(String)) COMMENT 'text, image, file, voice, video, card or emoji, as given',
    private Bool COMMENT 'An internal note: invisible to every metric',
    agent Nullable(String) COMMENT 'The person it is about',
    by LowCardinality(Nullable(String)) COMMENT 'Who closed: agent, customer, bot or system, as given',
    resolved Nullable(Bool) COMMENT 'Whether the closing resolved it, as given',
    topic Nullable(String) COMMENT 'Topic a person gave',
    score Nullable(Int64) COMMENT 'Rating, 1 to 5',
    comment Nullable(String) COMMENT 'Masked comment of a rating',
    status LowCardinality(Nullable(String)) COMMENT 'online, busy, away or offline',
    capacity Nullable(Int64) COMMENT 'How many episodes the agent takes at once',
    attrs Map(String, String) COMMENT 'Further attributes, as given',
    received_at DateTime64(3, 'UTC') COMMENT 'When the gateway took it',
    episode Nullable(UInt32) COMMENT 'Number of the episode it belongs to; NULL: none',
    model_topic Nullable(String) COMMENT 'Topic by the model',
    sentiment Nullable(Float64) COMMENT 'Sentiment by the model, -1 to 1',
    keywords Array(String) COMMENT 'Keywords by the model',
    topic_gains Map(String, UInt16) COMMENT 'What the model said of it: topic, thousandths of log-probability above the topics not named',
    clock_suspect Bool COMMENT 'at lay over 120 s ahead of received_at',
    late Bool COMMENT 'Came too late to count: changes no other table',
    replay Bool COMMENT 'Came through the replay door',
    position Int64 COMMENT 'Position in the stream of its partition',
    version Int64 COMMENT 'Minus position: the first to arrive stands'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, subject, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Events as rows that replace themselves; read the view events';

ALTER TABLE events_base ADD COLUMN IF NOT EXISTS topic_gains Map(String, UInt16) COMMENT 'What the model said of it: topic, thousandths of log-probability above the topics not named' AFTER keywords;

CREATE TABLE IF NOT EXISTS amendments_base
(
    tenant String COMMENT 'Tenant',
    subject String COMMENT 'c: and the conversation: what an id is unique in',
    id String COMMENT 'Id of the event',
    version Int64 COMMENT 'Position in the stream that this row stands for; the greatest stands',
    episode Nullable(UInt32) COMMENT 'Number of the episode it belongs to after all; NULL: none'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, subject, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Events that belong to another episode than was said at first; read the view events';

CREATE TABLE IF NOT EXISTS episodes_base
(
    tenant String COMMENT 'Tenant',
    conversation String COMMENT 'Conversation',
    episode UInt32 COMMENT 'Number of the episode in its conversation, from 1',
    version Int64 COMMENT 'Position in the stream that this row stands for; the greatest stands',
    is_deleted UInt8 COMMENT '1: a refold found that there is no such episode',
    channel String COMMENT 'Channel of the event that opened it',
    queue String COMMENT 'Queue it is in, or closed in',
    credit_queue String COMMENT 'Queue where its cohort numbers count',
    customer Nullable(String) COMMENT 'Customer across channels',
    agent Nullable(String) COMMENT 'Who holds it, or held it when it closed',
    opened_at DateTime64(3, 'UTC') COMMENT 'When it opened',
    demand_at Nullable(DateTime64(3, 'UTC')) COMMENT 'd: from when a person is needed',
    first_reply_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First public message of a person after d',
    first_reply_agent Nullable(String) COMMENT 'Who sent it',
    closed_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it closed; NULL: open',
    state LowCardinality(String) COMMENT 'with_bot, awaiting_first, awaiting_reply, waiting_on_customer or closed',
    outcome LowCardinality(Nullable(String)) COMMENT 'waiting, with_bot, answered, abandoned, closed_unanswered or bot_only; NULL with neither a d nor a bot',
    reopen Bool COMMENT 'Opened by the customer less than 7 days after the last one closed',
    outbound Bool COMMENT 'Opened by a person writing to the customer',
    frt_ms Nullable(Int64) COMMENT 'First response: first_reply_at minus d, ms',
    frt_business_ms Nullable(Int64) COMMENT 'The same in business time, ms; NULL without a calendar',
    frt_customer_ms Nullable(Int64) COMMENT 'First reply minus the first customer message, ms',
    frt_any_ms Nullable(Int64) COMMENT 'First bot or agent message minus the first customer message, ms',
    greeting_ms Nullable(Int64) COMMENT 'First agent message minus the last assignment before it, ms',
    handle_ms Nullable(Int64) COMMENT 'First assignment or agent message to close, ms; NULL while open',
    abandon_wait_ms Nullable(Int64) COMMENT 'Left minus d, ms, where the customer gave up',
    censored_wait_ms Nullable(Int64) COMMENT 'Close minus d, ms, where nobody answered',
    reply_times_ms Array(Int64) COMMENT 'Waits of the turns that were answered, ms, in order',
    queue_waits Array(Tuple(String, Int64)) COMMENT 'Queue and wait in ms of every queue stay, in order',
    queue_left_ms Nullable(Int64) COMMENT 'When it left its queue minus d, ms; NULL while it waits there',
    waiting_since Nullable(DateTime64(3, 'UTC')) COMMENT 'Where the turn begins that waits for a person, while in backlog',
    target_ms Nullable(Int64) COMMENT 'T in force at d, ms',
    short_ms Nullable(Int64) COMMENT 'S in force at d, ms',
    customer_messages UInt32 COMMENT 'Public messages of the customer',
    agent_messages UInt32 COMMENT 'Public messages of people who answer',
    bot_messages UInt32 COMMENT 'Public messages of bots',
    transfers UInt32 COMMENT 'Transfers',
    resolved Nullable(Bool) COMMENT 'Whether it was resolved; NULL while open',
    csat Nullable(UInt8) COMMENT 'Last rating, 1 to 5',
    topic Nullable(String) COMMENT 'Topic by the model',
    agent_topic Nullable(String) COMMENT 'Topic a person gave, the last',
    sentiment Nullable(Float64) COMMENT 'Mean sentiment of the customer messages, -1 to 1',
    formula_id LowCardinality(String) COMMENT 'Formula of the service level',
    holds Array(Tuple(agent String, since DateTime64(3, 'UTC'), until Nullable(DateTime64(3, 'UTC')))) COMMENT 'Who held it, from and until; until NULL: still'
)
ENGINE = ReplacingMergeTree(version, is_deleted)
ORDER BY (tenant, conversation, episode)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Episodes as rows that replace themselves; read the view episodes';

CREATE TABLE IF NOT EXISTS minutes_base
(
    tenant String COMMENT 'Tenant',
    queue String COMMENT 'Queue',
    channel String COMMENT 'Channel',
    minute DateTime64(3, 'UTC') COMMENT 'Start of the minute',
    partition UInt16 COMMENT 'Partition of the stream whose totals these are',
    version Int64 COMMENT 'Position in the stream that this row stands for; the greatest stands',
    messages Int64 COMMENT 'Public messages of every author, by at',
    customer_messages Int64 COMMENT 'Public messages of customers',
    agent_messages Int64 COMMENT 'Public messages of people who answer',
    bot_messages Int64 COMMENT 'Public messages of bots',
    opened Int64 COMMENT 'Episodes that opened',
    closed Int64 COMMENT 'Episodes that closed',
    moved_in Int64 COMMENT 'Open episodes that came from another queue',
    moved_out Int64 COMMENT 'Open episodes that went to another queue',
    arrivals Int64 COMMENT 'Episodes by d, in the queue that had them then',
    offered Int64 COMMENT 'Episodes by d, in the queue that has the credit',
    answered Int64 COMMENT 'Of offered: answered by a person',
    answered_in_target Int64 COMMENT 'Of offered: answered within T',
    abandoned Int64 COMMENT 'Of offered: given up before the first reply',
    short_abandoned Int64 COMMENT 'Of abandoned: within S',
    closed_unanswered Int64 COMMENT 'Of offered: closed without a reply',
    waiting Int64 COMMENT 'Of offered: still waiting',
    undecided Int64 COMMENT 'Of waiting: for less than T',
    connected Int64 COMMENT 'Of offered: left the queue within T',
    dropped Int64 COMMENT 'Customers who left after the first reply, by the minute of leaving',
    frt_n Int64 COMMENT 'First responses, without the reopened',
    frt_sum_ms Int64 COMMENT 'Their sum, ms',
    frt_hist Map(UInt64, UInt64) COMMENT 'Their histogram: lower bound of the bucket in ms, count',
    reopen_frt_n Int64 COMMENT 'First responses of reopened episodes',
    reopen_frt_sum_ms Int64 COMMENT 'Their sum, ms',
    resolved Int64 COMMENT 'Of closed: resolved',
    ratings Int64 COMMENT 'Ratings, the last of each episode',
    csat_good Int64 COMMENT 'Of ratings: 4 or 5',
    score_sum Int64 COMMENT 'Sum of the ratings',
    sentiment_sum Int64 COMMENT 'Sum of the sentiment of customer messages, in thousandths',
    negative Int64 COMMENT 'Customer messages with a sentiment below -0.3',
    sentiment_n Int64 DEFAULT 0 COMMENT 'Customer messages that have a sentiment: those of text',
    topics Map(String, UInt64) COMMENT 'Customer messages by what the model took them to be about',
    restated UInt32 COMMENT 'How often the row changed after its minute had closed',
    formula_id LowCardinality(String) COMMENT 'Formula of the service level'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, queue, channel, minute, partition)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Totals of one partition per queue, channel and minute; read the view minutes, which adds the partitions up';

ALTER TABLE minutes_base ADD COLUMN IF NOT EXISTS sentiment_n Int64 DEFAULT 0 COMMENT 'Customer messages that have a sentiment: those of text' AFTER negative;

ALTER TABLE minutes_base ADD COLUMN IF NOT EXISTS topics Map(String, UInt64) COMMENT 'Customer messages by what the model took them to be about' AFTER sentiment_n;

CREATE TABLE IF NOT EXISTS gauges_base
(
    tenant String COMMENT 'Tenant',
    queue String COMMENT 'Queue',
    channel String COMMENT 'Channel',
    minute DateTime64(3, 'UTC') COMMENT 'Start of the minute',
    partition UInt16 COMMENT 'Partition of the stream whose gauges these are',
    version Int64 COMMENT 'Position in the stream that this row stands for; the greatest stands',
    backlog Int64 COMMENT 'Episodes that waited for a person when the minute closed',
    oldest_ms Nullable(Int64) COMMENT 'The longest of these waits then, ms',
    formula_id LowCardinality(String) COMMENT 'Formula of the service level'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, queue, channel, minute, partition)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What stood open in one partition as each minute closed; read the view minutes';

CREATE TABLE IF NOT EXISTS minutes_usual
(
    tenant String COMMENT 'Tenant',
    queue String COMMENT 'Queue',
    channel String COMMENT 'Channel',
    minute DateTime64(3, 'UTC') COMMENT 'Start of the minute',
    version Int64 COMMENT 'Rises with every change; the greatest stands',
    expected Nullable(Float64) COMMENT 'Usual number of customer messages in this minute',
    low Nullable(Float64) COMMENT 'Lower bound of what is usual',
    high Nullable(Float64) COMMENT 'Upper bound of what is usual',
    surge Nullable(Bool) COMMENT 'Whether a surge was on'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, queue, channel, minute)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What the model of volume says about each minute; shown in the view minutes';

CREATE TABLE IF NOT EXISTS alerts_base
(
    tenant String COMMENT 'Tenant',
    alert String COMMENT 'Id of the alert, the same from firing to resolved',
    at DateTime64(3, 'UTC') COMMENT 'When it took this state',
    state LowCardinality(String) COMMENT 'firing, acknowledged or resolved',
    v UInt8 COMMENT 'Version of the form',
    rule String COMMENT 'Name of the rule',
    metric Nullable(String) COMMENT 'Metric the rule judges, where it says so',
    severity LowCardinality(String) COMMENT 'info, warning or critical',
    queue Nullable(String) COMMENT 'Queue; * or NULL: all of them',
    channel Nullable(String) COMMENT 'Channel; * or NULL: all of them',
    topic Nullable(String) COMMENT 'Topic of an alert about one; * or NULL: all of them',
    since Nullable(DateTime64(3, 'UTC')) COMMENT 'When it began to fire',
    value Nullable(Float64) COMMENT 'Value now',
    peak Nullable(Float64) COMMENT 'Greatest value so far',
    expected Nullable(Float64) COMMENT 'What is usual',
    low Nullable(Float64) COMMENT 'Lower bound of what is usual',
    high Nullable(Float64) COMMENT 'Upper bound of what is usual',
    unit Nullable(String) COMMENT 'Unit of the value',
    summary String COMMENT 'JSON: one sentence per language',
    drivers String COMMENT 'JSON: what makes up value minus expected',
    keywords Array(String) COMMENT 'Keywords of the messages behind it',
    samples Array(String) COMMENT 'Masked samples of them',
    impact String COMMENT 'JSON: backlog, oldest_ms, frt_p90_ms, agents_needed, drain_s, drain_plus',
    acknowledged_by Nullable(String) COMMENT 'Who acknowledged it',
    acknowledged_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When',
    silenced_by Nullable(String) COMMENT 'Id of the silence that covers it',
    grade Nullable(String) COMMENT 'useful or noise, as a person judged',
    resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it resolved',
    reason Nullable(String) COMMENT 'Why it changed',
    `group` Nullable(String) COMMENT 'Group it was told in',
    runbook Nullable(String) COMMENT 'Link to the runbook',
    board Nullable(String) COMMENT 'Link to the board'
)
ENGINE = ReplacingMergeTree
ORDER BY (tenant, alert, at, state)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Changes of state of alerts as rows that replace themselves; read the view alerts';

ALTER TABLE alerts_base ADD COLUMN IF NOT EXISTS topic Nullable(String) COMMENT 'Topic of an alert about one; * or NULL: all of them' AFTER channel;

CREATE TABLE IF NOT EXISTS agent_status_base
(
    tenant String COMMENT 'Tenant',
    agent String COMMENT 'Agent',
    since DateTime64(3, 'UTC') COMMENT 'When the span begins',
    version Int64 COMMENT 'Position in the stream that this row stands for; the greatest stands',
    is_deleted UInt8 COMMENT '1: there is no such span any more',
    until Nullable(DateTime64(3, 'UTC')) COMMENT 'When it ends; NULL: it goes on',
    status LowCardinality(String) COMMENT 'online, busy, away or offline',
    capacity Nullable(Int64) COMMENT 'How many episodes the agent takes at once; NULL: unknown'
)
ENGINE = ReplacingMergeTree(version, is_deleted)
ORDER BY (tenant, agent, since)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Spans of status as rows that replace themselves; read the view agent_status';

CREATE TABLE IF NOT EXISTS dead_letters_base
(
    topic String COMMENT 'Topic of the record; sink: a row that cannot be stored',
    partition Int32 COMMENT 'Its partition',
    offset Int64 COMMENT 'Its offset, or position',
    at DateTime64(3, 'UTC') COMMENT 'When the broker stored it',
    digest String COMMENT 'Digest of what it said',
    reason String COMMENT 'Why it cannot be read or stored',
    size Int64 COMMENT 'Its length in bytes'
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset, at, digest, reason)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Dead letters as rows that replace themselves; read the view dead_letters';

CREATE TABLE IF NOT EXISTS audit_base
(
    tenant String COMMENT 'Tenant',
    at DateTime64(3, 'UTC') COMMENT 'When',
    id String COMMENT 'Id of the act',
    actor String COMMENT 'Who',
    action LowCardinality(String) COMMENT 'What: ack, silence, unsilence, grade, erase, …',
    object String COMMENT 'To what',
    detail String COMMENT 'JSON: further words'
)
ENGINE = ReplacingMergeTree
ORDER BY (tenant, at, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Acts of people as rows that replace themselves; read the view audit';

CREATE TABLE IF NOT EXISTS late_base
(
    tenant String COMMENT 'Tenant',
    partition UInt16 COMMENT 'Partition of the stream',
    version Int64 COMMENT 'Position in the stream that this row stands for; the greatest stands',
    late_total Int64 COMMENT 'Events of this partition that came too late to count'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, partition)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Late events of one partition; read the view late';

CREATE TABLE IF NOT EXISTS clocks_base
(
    clock String COMMENT 'Tenant in replay; empty: the real clock',
    partition UInt16 COMMENT 'Partition of the stream',
    version Int64 COMMENT 'Position in the stream that this row stands for; the greatest stands',
    at Nullable(DateTime64(3, 'UTC')) COMMENT 'Newest tick of the clock up to which the partition is stored',
    live Bool COMMENT 'The tenant left its replay here',
    partitions UInt16 COMMENT 'How many partitions there are'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (clock, partition)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'How far each partition is stored, per clock; read the view clocks';

CREATE TABLE IF NOT EXISTS tenants_base
(
    tenant String COMMENT 'Tenant; empty: the zone of those on the real clock',
    version Int64 COMMENT 'When it was set, ms since the epoch; the greatest stands',
    zone LowCardinality(String) COMMENT 'IANA zone in which its days begin'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY tenant
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Zones of the tenants; read the view clocks';

CREATE OR REPLACE VIEW events
(
    tenant String COMMENT 'Tenant',
    conversation Nullable(String) COMMENT 'Conversation; NULL for agent_status',
    agent Nullable(String) COMMENT 'The person it is about',
    id String COMMENT 'Id, unique in its conversation (of agent_status: for its agent)',
    v UInt8 COMMENT 'Version of the form',
    kind String COMMENT 'message, opened, handoff, queued, assigned, transferred, customer_left, customer_back, closed, rated, label, agent_status',
    at DateTime64(3, 'UTC') COMMENT 'When it happened, as the source gave it',
    seq UInt64 COMMENT 'Order among events of the conversation with the same at',
    channel Nullable(String) COMMENT 'Channel, as given',
    queue Nullable(String) COMMENT 'Queue, as given',
    customer Nullable(String) COMMENT 'Customer across channels, as given',
    author Nullable(String) COMMENT 'customer, agent, bot or system',
    author_id Nullable(String) COMMENT 'Who wrote it',
    text Nullable(String) COMMENT 'Masked text',
    type Nullable(String) COMMENT 'text, image, file, voice, video, card or emoji, as given',
    private Bool COMMENT 'An internal note: invisible to every metric',
    by Nullable(String) COMMENT 'Who closed: agent, customer, bot or system, as given',
    resolved Nullable(Bool) COMMENT 'Whether the closing resolved it, as given',
    topic Nullable(String) COMMENT 'Topic a person gave',
    score Nullable(Int64) COMMENT 'Rating, 1 to 5',
    comment Nullable(String) COMMENT 'Masked comment of a rating',
    status Nullable(String) COMMENT 'online, busy, away or offline',
    capacity Nullable(Int64) COMMENT 'How many episodes the agent takes at once',
    attrs Map(String, String) COMMENT 'Further attributes, as given',
    received_at DateTime64(3, 'UTC') COMMENT 'When the gateway took it',
    event_time DateTime64(3, 'UTC') COMMENT 'When it happened, as it counts: at, or received_at where at lies over 120 s ahead of it',
    episode Nullable(UInt32) COMMENT 'Number of the episode it belongs to; NULL: none',
    model_topic Nullable(String) COMMENT 'Topic by the model',
    sentiment Nullable(Float64) COMMENT 'Sentiment by the model, -1 to 1',
    keywords Array(String) COMMENT 'Keywords by the model',
    topic_gains Map(String, UInt16) COMMENT 'What the model said of it: topic, thousandths of log-probability above the topics not named',
    clock_suspect Bool COMMENT 'at lay over 120 s ahead of received_at',
    late Bool COMMENT 'Came too late to count: changes no other table',
    replay Bool COMMENT 'Came through the replay door',
    position Int64 COMMENT 'Position in the stream of its partition'
)
AS SELECT
    e.tenant AS tenant, conversation, agent, e.id AS id, v, kind, at, seq, channel, queue, customer, author, author_id, text, type,
    private, by, resolved, topic, score, comment, status, capacity, attrs, received_at, event_time,
    if(a.id != '', a.episode, e.episode) AS episode, model_topic, sentiment, keywords, topic_gains, clock_suspect, late, replay,
    position
FROM (SELECT * FROM events_base FINAL) AS e
LEFT JOIN (SELECT tenant, subject, id, episode FROM amendments_base FINAL) AS a
    ON a.tenant = e.tenant AND a.subject = e.subject AND a.id = e.id
COMMENT 'One row per (tenant, conversation or agent, id): every event as given, and what was made of it; the first to arrive stands';

CREATE OR REPLACE VIEW episodes
(
    tenant String COMMENT 'Tenant',
    conversation String COMMENT 'Conversation',
    episode UInt32 COMMENT 'Number of the episode in its conversation, from 1',
    channel String COMMENT 'Channel of the event that opened it',
    queue String COMMENT 'Queue it is in, or closed in',
    credit_queue String COMMENT 'Queue where its cohort numbers count',
    customer Nullable(String) COMMENT 'Customer across channels',
    agent Nullable(String) COMMENT 'Who holds it, or held it when it closed',
    opened_at DateTime64(3, 'UTC') COMMENT 'When it opened',
    demand_at Nullable(DateTime64(3, 'UTC')) COMMENT 'd: from when a person is needed',
    first_reply_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First public message of a person after d',
    first_reply_agent Nullable(String) COMMENT 'Who sent it',
    closed_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it closed; NULL: open',
    state String COMMENT 'with_bot, awaiting_first, awaiting_reply, waiting_on_customer or closed',
    outcome Nullable(String) COMMENT 'waiting, with_bot, answered, abandoned, closed_unanswered or bot_only; NULL with neither a d nor a bot',
    reopen Bool COMMENT 'Opened by the customer less than 7 days after the last one closed',
    outbound Bool COMMENT 'Opened by a person writing to the customer',
    frt_ms Nullable(Int64) COMMENT 'First response: first_reply_at minus d, ms',
    frt_business_ms Nullable(Int64) COMMENT 'The same in business time, ms; NULL without a calendar',
    frt_customer_ms Nullable(Int64) COMMENT 'First reply minus the first customer message, ms',
    frt_any_ms Nullable(Int64) COMMENT 'First bot or agent message minus the first customer message, ms',
    greeting_ms Nullable(Int64) COMMENT 'First agent message minus the last assignment before it, ms',
    handle_ms Nullable(Int64) COMMENT 'First assignment or agent message to close, ms; NULL while open',
    abandon_wait_ms Nullable(Int64) COMMENT 'Left minus d, ms, where the customer gave up',
    censored_wait_ms Nullable(Int64) COMMENT 'Close minus d, ms, where nobody answered',
    reply_times_ms Array(Int64) COMMENT 'Waits of the turns that were answered, ms, in order',
    queue_waits Array(Tuple(String, Int64)) COMMENT 'Queue and wait in ms of every queue stay, in order',
    queue_left_ms Nullable(Int64) COMMENT 'When it left its queue minus d, ms; NULL while it waits there',
    waiting_since Nullable(DateTime64(3, 'UTC')) COMMENT 'Where the turn begins that waits for a person, while in backlog',
    target_ms Nullable(Int64) COMMENT 'T in force at d, ms',
    short_ms Nullable(Int64) COMMENT 'S in force at d, ms',
    customer_messages UInt32 COMMENT 'Public messages of the customer',
    agent_messages UInt32 COMMENT 'Public messages of people who answer',
    bot_messages UInt32 COMMENT 'Public messages of bots',
    transfers UInt32 COMMENT 'Transfers',
    resolved Nullable(Bool) COMMENT 'Whether it was resolved; NULL while open',
    csat Nullable(UInt8) COMMENT 'Last rating, 1 to 5',
    topic Nullable(String) COMMENT 'Topic by the model',
    agent_topic Nullable(String) COMMENT 'Topic a person gave, the last',
    sentiment Nullable(Float64) COMMENT 'Mean sentiment of the customer messages, -1 to 1',
    formula_id String COMMENT 'Formula of the service level',
    holds Array(Tuple(agent String, since DateTime64(3, 'UTC'), until Nullable(DateTime64(3, 'UTC')))) COMMENT 'Who held it, from and until; until NULL: still',
    version Int64 COMMENT 'Rises with every change'
)
AS SELECT
    tenant, conversation, episode, channel, queue, credit_queue, customer, agent, opened_at, demand_at, first_reply_at, first_reply_agent,
    closed_at, state, outcome, reopen, outbound, frt_ms, frt_business_ms, frt_customer_ms, frt_any_ms, greeting_ms, handle_ms,
    abandon_wait_ms, censored_wait_ms, reply_times_ms, queue_waits, queue_left_ms, waiting_since, target_ms, short_ms,
    customer_messages, agent_messages, bot_messages, transfers, resolved, csat, topic, agent_topic, sentiment, formula_id, holds, version
FROM episodes_base FINAL
COMMENT 'One row per (tenant, conversation, episode): one demand for service, the unit that is counted';

CREATE OR REPLACE VIEW minutes
(
    tenant String COMMENT 'Tenant',
    queue String COMMENT 'Queue',
    channel String COMMENT 'Channel',
    minute DateTime64(3, 'UTC') COMMENT 'Start of the minute',
    messages Int64 COMMENT 'Public messages of every author, by at',
    customer_messages Int64 COMMENT 'Public messages of customers',
    agent_messages Int64 COMMENT 'Public messages of people who answer',
    bot_messages Int64 COMMENT 'Public messages of bots',
    opened Int64 COMMENT 'Episodes that opened',
    closed Int64 COMMENT 'Episodes that closed',
    moved_in Int64 COMMENT 'Open episodes that came from another queue',
    moved_out Int64 COMMENT 'Open episodes that went to another queue',
    arrivals Int64 COMMENT 'Episodes by d, in the queue that had them then',
    offered Int64 COMMENT 'Episodes by d, in the queue that has the credit',
    answered Int64 COMMENT 'Of offered: answered by a person',
    answered_in_target Int64 COMMENT 'Of offered: answered within T',
    abandoned Int64 COMMENT 'Of offered: given up before the first reply',
    short_abandoned Int64 COMMENT 'Of abandoned: within S',
    closed_unanswered Int64 COMMENT 'Of offered: closed without a reply',
    waiting Int64 COMMENT 'Of offered: still waiting',
    undecided Int64 COMMENT 'Of waiting: for less than T',
    connected Int64 COMMENT 'Of offered: left the queue within T',
    dropped Int64 COMMENT 'Customers who left after the first reply, by the minute of leaving',
    frt_n Int64 COMMENT 'First responses, without the reopened',
    frt_sum_ms Int64 COMMENT 'Their sum, ms',
    frt_hist Map(UInt64, UInt64) COMMENT 'Their histogram: lower bound of the bucket in ms, count',
    reopen_frt_n Int64 COMMENT 'First responses of reopened episodes',
    reopen_frt_sum_ms Int64 COMMENT 'Their sum, ms',
    resolved Int64 COMMENT 'Of closed: resolved',
    ratings Int64 COMMENT 'Ratings, the last of each episode',
    csat_good Int64 COMMENT 'Of ratings: 4 or 5',
    score_sum Int64 COMMENT 'Sum of the ratings',
    sentiment_sum Float64 COMMENT 'Sum of the sentiment of customer messages, -1 to 1 each',
    negative Int64 COMMENT 'Customer messages with a sentiment below -0.3',
    sentiment_n Int64 COMMENT 'Customer messages that have a sentiment: those of text',
    expected Nullable(Float64) COMMENT 'Usual number of customer messages in this minute',
    low Nullable(Float64) COMMENT 'Lower bound of what is usual',
    high Nullable(Float64) COMMENT 'Upper bound of what is usual',
    surge Nullable(Bool) COMMENT 'Whether a surge was on',
    backlog Nullable(Int64) COMMENT 'Episodes that waited for a person when the minute ended; a window keeps the latest',
    oldest_ms Nullable(Int64) COMMENT 'The longest of these waits then, ms; a window keeps the latest',
    restated UInt64 COMMENT 'How often the row changed after its minute had closed',
    formula_id String COMMENT 'Formula of the service level',
    version Int64 COMMENT 'Rises with every change: the sum of the versions of the parts'
)
AS SELECT
    tenant, queue, channel, minute,
    sum(b.messages) AS messages, sum(b.customer_messages) AS customer_messages,
    sum(b.agent_messages) AS agent_messages, sum(b.bot_messages) AS bot_messages,
    sum(b.opened) AS opened, sum(b.closed) AS closed, sum(b.moved_in) AS moved_in, sum(b.moved_out) AS moved_out,
    sum(b.arrivals) AS arrivals, sum(b.offered) AS offered, sum(b.answered) AS answered,
    sum(b.answered_in_target) AS answered_in_target, sum(b.abandoned) AS abandoned, sum(b.short_abandoned) AS short_abandoned,
    sum(b.closed_unanswered) AS closed_unanswered, sum(b.waiting) AS waiting, sum(b.undecided) AS undecided,
    sum(b.connected) AS connected, sum(b.dropped) AS dropped, sum(b.frt_n) AS frt_n, sum(b.frt_sum_ms) AS frt_sum_ms,
    sumMap(b.frt_hist) AS frt_hist, sum(b.reopen_frt_n) AS reopen_frt_n, sum(b.reopen_frt_sum_ms) AS reopen_frt_sum_ms,
    sum(b.resolved) AS resolved, sum(b.ratings) AS ratings, sum(b.csat_good) AS csat_good, sum(b.score_sum) AS score_sum,
    sum(b.sentiment_sum) / 1000 AS sentiment_sum, sum(b.negative) AS negative, sum(b.sentiment_n) AS sentiment_n,
    max(b.expected) AS expected, max(b.low) AS low, max(b.high) AS high, max(b.surge) AS surge,
    ifNull(sum(b.backlog), 0) AS backlog, max(b.oldest_ms) AS oldest_ms, sum(b.restated) AS restated,
    max(b.formula_id) AS formula_id, sum(b.version) AS version
FROM
(
    SELECT
        1 AS part, tenant, queue, channel, minute, messages, customer_messages, agent_messages, bot_messages, opened, closed, moved_in,
        moved_out, arrivals, offered, answered, answered_in_target, abandoned, short_abandoned, closed_unanswered, waiting, undecided,
        connected, dropped, frt_n, frt_sum_ms, frt_hist, reopen_frt_n, reopen_frt_sum_ms, resolved, ratings, csat_good, score_sum,
        sentiment_sum, negative, sentiment_n, CAST(NULL, 'Nullable(Float64)') AS expected, CAST(NULL, 'Nullable(Float64)') AS low,
        CAST(NULL, 'Nullable(Float64)') AS high, CAST(NULL, 'Nullable(Bool)') AS surge,
        CAST(NULL, 'Nullable(Int64)') AS backlog, CAST(NULL, 'Nullable(Int64)') AS oldest_ms, restated,
        toString(formula_id) AS formula_id, version
    FROM minutes_base FINAL
    UNION ALL
    SELECT
        1 AS part, tenant, queue, channel, minute, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, CAST(map(), 'Map(UInt64, UInt64)'), 0, 0, 0, 0, 0, 0,
        0, 0, 0, NULL, NULL,
        NULL, NULL, backlog, oldest_ms, 0,
        toString(formula_id), version
    FROM gauges_base FINAL
    UNION ALL
    SELECT
        0 AS part, tenant, queue, channel, minute, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, CAST(map(), 'Map(UInt64, UInt64)'), 0, 0, 0, 0, 0, 0,
        0, 0, 0, expected, low,
        high, surge, NULL, NULL, 0,
        '', version
    FROM minutes_usual FINAL
) AS b
GROUP BY tenant, queue, channel, minute
HAVING sum(b.part) > 0
COMMENT 'One row per (tenant, queue, channel, minute) in which something happened or anything was open';

CREATE OR REPLACE VIEW alerts
(
    tenant String COMMENT 'Tenant',
    alert String COMMENT 'Id of the alert, the same from firing to resolved',
    at DateTime64(3, 'UTC') COMMENT 'When it took this state',
    state String COMMENT 'firing, acknowledged or resolved',
    v UInt8 COMMENT 'Version of the form',
    rule String COMMENT 'Name of the rule',
    metric Nullable(String) COMMENT 'Metric the rule judges, where it says so',
    severity String COMMENT 'info, warning or critical',
    queue Nullable(String) COMMENT 'Queue; * or NULL: all of them',
    channel Nullable(String) COMMENT 'Channel; * or NULL: all of them',
    topic Nullable(String) COMMENT 'Topic of an alert about one; * or NULL: all of them',
    since Nullable(DateTime64(3, 'UTC')) COMMENT 'When it began to fire',
    value Nullable(Float64) COMMENT 'Value now',
    peak Nullable(Float64) COMMENT 'Greatest value so far',
    expected Nullable(Float64) COMMENT 'What is usual',
    low Nullable(Float64) COMMENT 'Lower bound of what is usual',
    high Nullable(Float64) COMMENT 'Upper bound of what is usual',
    unit Nullable(String) COMMENT 'Unit of the value',
    summary String COMMENT 'JSON: one sentence per language',
    drivers String COMMENT 'JSON: what makes up value minus expected',
    keywords Array(String) COMMENT 'Keywords of the messages behind it',
    samples Array(String) COMMENT 'Masked samples of them',
    impact String COMMENT 'JSON: backlog, oldest_ms, frt_p90_ms, agents_needed, drain_s, drain_plus',
    acknowledged_by Nullable(String) COMMENT 'Who acknowledged it',
    acknowledged_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When',
    silenced_by Nullable(String) COMMENT 'Id of the silence that covers it',
    grade Nullable(String) COMMENT 'useful or noise, as a person judged',
    resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it resolved',
    reason Nullable(String) COMMENT 'Why it changed',
    `group` Nullable(String) COMMENT 'Group it was told in',
    runbook Nullable(String) COMMENT 'Link to the runbook',
    board Nullable(String) COMMENT 'Link to the board'
)
AS SELECT
    tenant, alert, at, state, v, rule, metric, severity, queue, channel, topic, since, value, peak, expected, low, high, unit, summary, drivers,
    keywords, samples, impact, acknowledged_by, acknowledged_at, silenced_by, grade, resolved_at, reason, `group`, runbook, board
FROM alerts_base FINAL
COMMENT 'Every change of state of every alert';

CREATE OR REPLACE VIEW agent_status
(
    tenant String COMMENT 'Tenant',
    agent String COMMENT 'Agent',
    since DateTime64(3, 'UTC') COMMENT 'When the span begins',
    until Nullable(DateTime64(3, 'UTC')) COMMENT 'When it ends; NULL: it goes on',
    status String COMMENT 'online, busy, away or offline',
    capacity Nullable(Int64) COMMENT 'How many episodes the agent takes at once; NULL: unknown',
    version Int64 COMMENT 'Rises with every change'
)
AS SELECT tenant, agent, since, until, status, capacity, version
FROM agent_status_base FINAL
COMMENT 'Spans of one status and capacity of an agent; repeating a status begins nothing';

CREATE OR REPLACE VIEW dead_letters
(
    topic String COMMENT 'Topic of the record; sink: a row that cannot be stored',
    partition Int32 COMMENT 'Its partition',
    offset Int64 COMMENT 'Its offset, or position',
    at DateTime64(3, 'UTC') COMMENT 'When the broker stored it',
    digest String COMMENT 'Digest of what it said',
    reason String COMMENT 'Why it cannot be read or stored',
    size Int64 COMMENT 'Its length in bytes'
)
AS SELECT topic, partition, offset, at, digest, reason, size
FROM dead_letters_base FINAL
COMMENT 'What nobody can read: length, digest and reason, never what it said';

CREATE OR REPLACE VIEW audit
(
    tenant String COMMENT 'Tenant',
    at DateTime64(3, 'UTC') COMMENT 'When',
    id String COMMENT 'Id of the act',
    actor String COMMENT 'Who',
    action String COMMENT 'What: ack, silence, unsilence, grade, erase, …',
    object String COMMENT 'To what',
    detail String COMMENT 'JSON: further words'
)
AS SELECT tenant, at, id, actor, action, object, detail
FROM audit_base FINAL
COMMENT 'What people did';

CREATE OR REPLACE VIEW late
(
    tenant String COMMENT 'Tenant',
    late_total Int64 COMMENT 'Events that came too late to count'
)
AS SELECT tenant, sum(b.late_total) AS late_total
FROM late_base AS b FINAL
GROUP BY tenant
COMMENT 'Events per tenant that came too late to count';

CREATE OR REPLACE VIEW clocks
(
    tenant String COMMENT 'Tenant',
    as_of Nullable(DateTime64(3, 'UTC')) COMMENT 'Oldest tick that all partitions have applied and stored; NULL before the first',
    zone String COMMENT 'IANA zone in which its days begin',
    replay Bool COMMENT 'Whether it has a clock of its own'
)
AS WITH per_clock AS
(
    SELECT
        clock,
        min(b.live) AND count() = max(b.partitions) AS over,
        if(count() = max(b.partitions) AND countIf(b.at IS NULL) = 0, min(b.at), NULL) AS now
    FROM clocks_base AS b FINAL
    GROUP BY clock
)
SELECT
    t.tenant AS tenant,
    if(own.clock != '' AND NOT own.over, own.now, (SELECT now FROM per_clock WHERE clock = '')) AS as_of,
    t.zone AS zone,
    own.clock != '' AND NOT own.over AS replay
FROM (SELECT tenant, zone FROM tenants_base FINAL) AS t
LEFT JOIN (SELECT clock, over, now FROM per_clock WHERE clock != '') AS own ON own.clock = t.tenant
WHERE t.tenant != ''  -- the zone of those on the real clock, for tenants yet to come: nobody's row
COMMENT 'What "now" is for each tenant, and where its days begin';

CREATE OR REPLACE VIEW outcomes_by_day
(
    tenant String COMMENT 'Tenant',
    queue String COMMENT 'Queue that has the credit (offered), where it closed (closed), or was rated (csat)',
    channel String COMMENT 'Channel',
    day Date COMMENT 'Day in the zone of the tenant: of d, of the closing, or of the rating',
    offered Int64 COMMENT 'Episodes by d',
    connect Nullable(Float64) COMMENT 'Share of offered that left the queue within T',
    answered_only Nullable(Float64) COMMENT 'Share of the answered that were answered within T',
    closed Int64 COMMENT 'Episodes by closing',
    resolved Int64 COMMENT 'Of closed: resolved',
    resolution_rate Nullable(Float64) COMMENT 'Share of those closed with a d that were resolved and not reopened within 72 h; provisional before that',
    reopen_rate Nullable(Float64) COMMENT 'Share of resolved whose next episode is a reopening',
    repeat_contact_24h Nullable(Float64) COMMENT 'Share of resolved, whose 24 h have passed, with another contact of the customer from 1 h to 24 h after',
    repeat_contact_72h Nullable(Float64) COMMENT 'The same for 72 h',
    repeat_contact_7d Nullable(Float64) COMMENT 'The same for 7 days',
    repeat_contact_7d_same_topic Nullable(Float64) COMMENT 'The same for 7 days, about the same topic',
    response_rate Nullable(Float64) COMMENT 'Share of those closed and answered by a person that were rated',
    csat Nullable(Float64) COMMENT 'Share of ratings that are 4 or 5',
    csat_n Int64 COMMENT 'Ratings, the last of each episode',
    csat_low Nullable(Float64) COMMENT 'Lower end of the Wilson 95 % interval',
    csat_high Nullable(Float64) COMMENT 'Upper end of the Wilson 95 % interval'
)
AS WITH
    3600000 AS hour_ms,
    seen AS
    (
        SELECT
            e.*, c.zone AS zone, toUnixTimestamp64Milli(c.as_of) AS now_ms,
            toUnixTimestamp64Milli(e.closed_at) AS closed_ms,
            coalesce(concat('u:', e.customer), concat('c:', e.conversation)) AS who,
            leadInFrame(toNullable(toUnixTimestamp64Milli(e.opened_at)))
                OVER (PARTITION BY e.tenant, e.conversation ORDER BY e.episode ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next_ms,
            leadInFrame(e.reopen)
                OVER (PARTITION BY e.tenant, e.conversation ORDER BY e.episode ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next_reopen
        FROM episodes AS e LEFT JOIN clocks AS c ON c.tenant = e.tenant
    ),
    contacts AS
    (
        SELECT
            tenant, coalesce(concat('u:', customer), concat('c:', conversation)) AS who, ifNull(topic, '') AS about,
            toUnixTimestamp64Milli(opened_at) AS opened_ms
        FROM episodes
        WHERE NOT outbound
    ),
    closed_ones AS
    (
        SELECT *, assumeNotNull(closed_ms) + hour_ms AS after_ms, ifNull(topic, '') AS about
        FROM seen
        WHERE closed_at IS NOT NULL
    ),
    closings AS
    (
        SELECT
            s.tenant AS tenant, s.queue AS queue, s.channel AS channel, toDate(formatDateTime(s.closed_at, '%F', s.zone)) AS day,
            ifNull(s.resolved, false) AS is_resolved, s.demand_at IS NOT NULL AS had_demand,
            ifNull(s.outcome = 'answered', false) AS was_answered, s.csat IS NOT NULL AS was_rated,
            is_resolved AND s.next_reopen AND s.next_ms IS NOT NULL AS was_reopened,
            was_reopened AND s.next_ms < s.closed_ms + 72 * hour_ms AS reopened_72h,
            is_resolved AND ifNull(s.closed_ms + 24 * hour_ms <= s.now_ms, false) AS passed_24h,
            is_resolved AND ifNull(s.closed_ms + 72 * hour_ms <= s.now_ms, false) AS passed_72h,
            is_resolved AND ifNull(s.closed_ms + 168 * hour_ms <= s.now_ms, false) AS passed_7d,
            ifNull(k.opened_ms, 0) >= s.after_ms AS came_again,
            came_again AND k.opened_ms < s.closed_ms + 24 * hour_ms AS again_24h,
            came_again AND k.opened_ms < s.closed_ms + 72 * hour_ms AS again_72h,
            came_again AND k.opened_ms < s.closed_ms + 168 * hour_ms AS again_7d,
            s.about != '' AND ifNull(t.opened_ms, 0) >= s.after_ms AND t.opened_ms < s.closed_ms + 168 * hour_ms AS again_same
        FROM closed_ones AS s
        ASOF LEFT JOIN contacts AS k ON k.tenant = s.tenant AND k.who = s.who AND k.opened_ms >= s.after_ms
        ASOF LEFT JOIN contacts AS t ON t.tenant = s.tenant AND t.who = s.who AND t.about = s.about AND t.opened_ms >= s.after_ms
    ),
    parts AS
    (
        SELECT
            tenant, credit_queue AS queue, channel, toDate(formatDateTime(assumeNotNull(demand_at), '%F', zone)) AS day,
            toInt64(count()) AS offered, toInt64(countIf(queue_left_ms <= target_ms)) AS connected,
            toInt64(countIf(outcome = 'answered')) AS answered, toInt64(countIf(outcome = 'answered' AND frt_ms <= target_ms)) AS in_target,
            0 AS closed, 0 AS resolved, 0 AS with_demand, 0 AS stayed, 0 AS reopened,
            0 AS n_24h, 0 AS hit_24h, 0 AS n_72h, 0 AS hit_72h, 0 AS n_7d, 0 AS hit_7d, 0 AS hit_same,
            0 AS answered_closed, 0 AS rated, 0 AS ratings, 0 AS good
        FROM seen
        WHERE demand_at IS NOT NULL
        GROUP BY tenant, credit_queue, channel, day
        UNION ALL
        SELECT
            tenant, queue, channel, assumeNotNull(day) AS day,
            0, 0, 0, 0,
            toInt64(count()), toInt64(countIf(is_resolved)), toInt64(countIf(had_demand)),
            toInt64(countIf(is_resolved AND had_demand AND NOT reopened_72h)), toInt64(countIf(was_reopened)),
            toInt64(countIf(passed_24h)), toInt64(countIf(passed_24h AND again_24h)),
            toInt64(countIf(passed_72h)), toInt64(countIf(passed_72h AND again_72h)),
            toInt64(countIf(passed_7d)), toInt64(countIf(passed_7d AND again_7d)), toInt64(countIf(passed_7d AND again_same)),
            toInt64(countIf(was_answered)), toInt64(countIf(was_answered AND was_rated)), 0, 0
        FROM closings
        GROUP BY tenant, queue, channel, day
        UNION ALL
        SELECT
            m.tenant AS tenant, m.queue AS queue, m.channel AS channel, toDate(formatDateTime(m.minute, '%F', c.zone)) AS day,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            sum(m.ratings), sum(m.csat_good)
        FROM (SELECT tenant, queue, channel, minute, ratings, csat_good FROM minutes_base FINAL) AS m
        LEFT JOIN clocks AS c ON c.tenant = m.tenant
        WHERE m.ratings != 0
        GROUP BY tenant, queue, channel, day
    ),
    1.959964 AS z
SELECT
    tenant, queue, channel, day,
    sum(p.offered) AS offered,
    if(offered = 0, NULL, sum(p.connected) / offered) AS connect,
    if(sum(p.answered) = 0, NULL, sum(p.in_target) / sum(p.answered)) AS answered_only,
    sum(p.closed) AS closed,
    sum(p.resolved) AS resolved,
    if(sum(p.with_demand) = 0, NULL, sum(p.stayed) / sum(p.with_demand)) AS resolution_rate,
    if(resolved = 0, NULL, sum(p.reopened) / resolved) AS reopen_rate,
    if(sum(p.n_24h) = 0, NULL, sum(p.hit_24h) / sum(p.n_24h)) AS repeat_contact_24h,
    if(sum(p.n_72h) = 0, NULL, sum(p.hit_72h) / sum(p.n_72h)) AS repeat_contact_72h,
    if(sum(p.n_7d) = 0, NULL, sum(p.hit_7d) / sum(p.n_7d)) AS repeat_contact_7d,
    if(sum(p.n_7d) = 0, NULL, sum(p.hit_same) / sum(p.n_7d)) AS repeat_contact_7d_same_topic,
    if(sum(p.answered_closed) = 0, NULL, sum(p.rated) / sum(p.answered_closed)) AS response_rate,
    if(csat_n = 0, NULL, sum(p.good) / csat_n) AS csat,
    sum(p.ratings) AS csat_n,
    if(csat_n = 0, NULL, greatest(0., (csat + z * z / (2 * csat_n)
        - z * sqrt(csat * (1 - csat) / csat_n + z * z / (4 * csat_n * csat_n))) / (1 + z * z / csat_n))) AS csat_low,
    if(csat_n = 0, NULL, least(1., (csat + z * z / (2 * csat_n)
        + z * sqrt(csat * (1 - csat) / csat_n + z * z / (4 * csat_n * csat_n))) / (1 + z * z / csat_n))) AS csat_high
FROM parts AS p
GROUP BY tenant, queue, channel, day
COMMENT 'What a day came to, per queue and channel, in the zone of the tenant';

CREATE OR REPLACE VIEW agents_by_hour
(
    tenant String COMMENT 'Tenant',
    agent String COMMENT 'Agent',
    hour DateTime64(3, 'UTC') COMMENT 'Start of the hour, UTC',
    first_replies Int64 COMMENT 'First replies sent, without the reopened',
    frt_avg_ms Nullable(Float64) COMMENT 'Their mean first response, ms',
    messages Int64 COMMENT 'Public messages sent',
    handled Int64 COMMENT 'Episodes that closed while the agent held them',
    handle_avg_ms Nullable(Float64) COMMENT 'Their mean handle time, ms',
    concurrency Nullable(Float64) COMMENT 'Mean of the open episodes held, over the time with at least one',
    occupancy Nullable(Float64) COMMENT 'Episodes held x time, divided by capacity x time, while online or busy with a known capacity',
    online_ms Int64 COMMENT 'Time online or busy, ms'
)
AS WITH
    3600000 AS hour_ms,
    spans AS
    (
        SELECT
            e.tenant AS tenant, h.agent AS agent, toUnixTimestamp64Milli(h.since) AS since_ms,
            ifNull(toUnixTimestamp64Milli(h.until), toUnixTimestamp64Milli(c.as_of)) AS until_ms,
            1 AS held, 0 AS online, 0 AS known, 0 AS capacity
        FROM (SELECT tenant, arrayJoin(holds) AS h FROM episodes) AS e LEFT JOIN clocks AS c ON c.tenant = e.tenant
        UNION ALL
        SELECT
            s.tenant AS tenant, s.agent AS agent, toUnixTimestamp64Milli(s.since) AS since_ms,
            ifNull(toUnixTimestamp64Milli(s.until), toUnixTimestamp64Milli(c.as_of)) AS until_ms,
            0, 1, s.capacity IS NOT NULL, ifNull(s.capacity, 0)
        FROM agent_status AS s LEFT JOIN clocks AS c ON c.tenant = s.tenant
        WHERE s.status IN ('online', 'busy')
    ),
    edges AS
    (
        SELECT tenant, agent, t, sum(d_held) AS d_held, sum(d_online) AS d_online, sum(d_known) AS d_known, sum(d_capacity) AS d_capacity
        FROM
        (
            SELECT
                tenant, agent,
                arrayJoin(arrayConcat(
                    [(since_ms, 1), (assumeNotNull(until_ms), -1)],
                    arrayMap(k -> (toInt64(k) * hour_ms, 0),
                        range(toUInt64(intDiv(since_ms, hour_ms) + 1), toUInt64(intDiv(assumeNotNull(until_ms), hour_ms) + 1))))) AS edge,
                edge.1 AS t, edge.2 * held AS d_held, edge.2 * online AS d_online, edge.2 * known AS d_known, edge.2 * capacity AS d_capacity
            FROM spans
            WHERE until_ms > since_ms
        )
        GROUP BY tenant, agent, t
    ),
    steps AS
    (
        SELECT
            tenant, agent, t,
            leadInFrame(t, 1, t) OVER later - t AS dt,
            sum(d_held) OVER so_far AS held, sum(d_online) OVER so_far AS online,
            sum(d_known) OVER so_far AS known, sum(d_capacity) OVER so_far AS capacity
        FROM edges
        WINDOW
            so_far AS (PARTITION BY tenant, agent ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
            later AS (PARTITION BY tenant, agent ORDER BY t ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
    ),
    parts AS
    (
        SELECT
            tenant, agent, intDiv(t, hour_ms) AS h, 0 AS first_replies, 0 AS frt_sum, 0 AS messages, 0 AS handled, 0 AS handle_sum,
            toInt64(sumIf(held * dt, held > 0)) AS held_ms, toInt64(sumIf(dt, held > 0)) AS busy_ms,
            toInt64(sumIf(held * dt, known > 0)) AS taken_ms, toInt64(sumIf(capacity * dt, known > 0)) AS offered_ms,
            toInt64(sumIf(dt, online > 0)) AS online_ms
        FROM steps
        WHERE dt > 0 AND (held > 0 OR online > 0)
        GROUP BY tenant, agent, h
        UNION ALL
        SELECT
            tenant, assumeNotNull(first_reply_agent) AS agent, intDiv(toUnixTimestamp64Milli(assumeNotNull(first_reply_at)), hour_ms) AS h,
            toInt64(count()), toInt64(sum(assumeNotNull(frt_ms))), 0, 0, 0, 0, 0, 0, 0, 0
        FROM episodes
        WHERE first_reply_agent IS NOT NULL AND first_reply_at IS NOT NULL AND frt_ms IS NOT NULL AND NOT reopen
        GROUP BY tenant, agent, h
        UNION ALL
        SELECT
            tenant, assumeNotNull(author_id) AS agent, intDiv(toUnixTimestamp64Milli(event_time), hour_ms) AS h,
            0, 0, toInt64(count()), 0, 0, 0, 0, 0, 0, 0
        FROM events_base FINAL
        WHERE kind = 'message' AND author = 'agent' AND NOT private AND NOT late AND author_id IS NOT NULL
        GROUP BY tenant, author_id, h
        UNION ALL
        SELECT
            tenant, assumeNotNull(e.agent) AS agent, intDiv(toUnixTimestamp64Milli(assumeNotNull(closed_at)), hour_ms) AS h,
            0, 0, 0, toInt64(count()), toInt64(sum(assumeNotNull(handle_ms))), 0, 0, 0, 0, 0
        FROM episodes AS e
        WHERE e.agent IS NOT NULL AND closed_at IS NOT NULL AND handle_ms IS NOT NULL
        GROUP BY tenant, agent, h
    )
SELECT
    tenant, agent, fromUnixTimestamp64Milli(toInt64(h) * hour_ms, 'UTC') AS hour,
    sum(p.first_replies) AS first_replies,
    if(first_replies = 0, NULL, sum(p.frt_sum) / first_replies) AS frt_avg_ms,
    sum(p.messages) AS messages,
    sum(p.handled) AS handled,
    if(handled = 0, NULL, sum(p.handle_sum) / handled) AS handle_avg_ms,
    if(sum(p.busy_ms) = 0, NULL, sum(p.held_ms) / sum(p.busy_ms)) AS concurrency,
    if(sum(p.offered_ms) = 0, NULL, sum(p.taken_ms) / sum(p.offered_ms)) AS occupancy,
    sum(p.online_ms) AS online_ms
FROM parts AS p
GROUP BY tenant, agent, h
COMMENT 'What each agent did in each hour, UTC';

CREATE OR REPLACE VIEW frt_by_hour
(
    tenant String COMMENT 'Tenant',
    queue String COMMENT 'Queue that has the credit',
    channel String COMMENT 'Channel',
    hour DateTime64(3, 'UTC') COMMENT 'Start of the hour of d, UTC',
    frt_n Int64 COMMENT 'First responses, without the reopened',
    frt_avg_ms Nullable(Float64) COMMENT 'Their mean, ms',
    frt_p50_ms Nullable(UInt64) COMMENT 'Their median, ms: nearest rank, within 1 %',
    frt_p90_ms Nullable(UInt64) COMMENT 'Their 90th percentile, ms: nearest rank, within 1 %',
    reopen_frt_n Int64 COMMENT 'First responses of reopened episodes',
    reopen_frt_avg_ms Nullable(Float64) COMMENT 'Their mean, ms'
)
AS WITH
    hours AS
    (
        SELECT
            tenant, queue, channel, toStartOfHour(minute) AS hour, sum(b.frt_n) AS n, sum(b.frt_sum_ms) AS total,
            sumMap(b.frt_hist) AS hist, sum(b.reopen_frt_n) AS reopen_n, sum(b.reopen_frt_sum_ms) AS reopen_total
        FROM minutes_base AS b FINAL
        GROUP BY tenant, queue, channel, hour
        HAVING n != 0 OR reopen_n != 0
    )
SELECT
    tenant, queue, channel, hour, n AS frt_n, if(n = 0, NULL, total / n) AS frt_avg_ms,
    if(n = 0, NULL, bounds[arrayFirstIndex(c -> c >= ceil(0.5 * n - 1e-9), ranks)]) AS frt_p50_ms,
    if(n = 0, NULL, bounds[arrayFirstIndex(c -> c >= ceil(0.9 * n - 1e-9), ranks)]) AS frt_p90_ms,
    reopen_n AS reopen_frt_n, if(reopen_n = 0, NULL, reopen_total / reopen_n) AS reopen_frt_avg_ms
FROM
(
    SELECT *, arraySort(mapKeys(hist)) AS bounds, arrayCumSum(arrayMap(k -> hist[k], bounds)) AS ranks FROM hours
)
COMMENT 'First response per queue, channel and hour of d';

CREATE OR REPLACE VIEW topics_by_hour
(
    tenant String COMMENT 'Tenant',
    queue String COMMENT 'Queue in which it was written',
    channel String COMMENT 'Channel',
    hour DateTime64(3, 'UTC') COMMENT 'Start of the hour, UTC',
    topic String COMMENT 'What the model took the message to be about',
    customer_messages UInt64 COMMENT 'Customer messages about it',
    share Nullable(Float64) COMMENT 'Of all customer messages of the queue, channel and hour'
)
AS SELECT
    tenant, queue, channel, hour, pair.1 AS topic, pair.2 AS customer_messages, if(whole = 0, NULL, pair.2 / whole) AS share
FROM
(
    SELECT
        tenant, queue, channel, toStartOfHour(minute) AS hour, sum(b.customer_messages) AS whole,
        arrayZip(mapKeys(sumMap(b.topics) AS topics), mapValues(topics)) AS pairs
    FROM minutes_base AS b FINAL
    GROUP BY tenant, queue, channel, hour
)
ARRAY JOIN pairs AS pair
COMMENT 'What customers wrote about, per queue, channel and hour';

CREATE OR REPLACE VIEW service_level_by_day
(
    tenant String COMMENT 'Tenant',
    queue String COMMENT 'Queue that has the credit',
    channel String COMMENT 'Channel',
    day Date COMMENT 'Day of d in the zone of the tenant',
    offered Int64 COMMENT 'Episodes by d',
    answered Int64 COMMENT 'Of offered: answered by a person',
    answered_in_target Int64 COMMENT 'Of offered: answered within T',
    abandoned Int64 COMMENT 'Of offered: given up before the first reply',
    short_abandoned Int64 COMMENT 'Of abandoned: within S',
    closed_unanswered Int64 COMMENT 'Of offered: closed without a reply',
    waiting Int64 COMMENT 'Of offered: still waiting',
    undecided Int64 COMMENT 'Of waiting: for less than T, now',
    service_level Nullable(Float64) COMMENT 'answered_in_target divided by (offered - short_abandoned - undecided)',
    abandon_rate Nullable(Float64) COMMENT '(abandoned - short_abandoned) divided by (offered - short_abandoned)',
    provisional Bool COMMENT 'Some are undecided yet',
    formula_id String COMMENT 'Formula of the service level'
)
AS SELECT
    e.tenant AS tenant, e.credit_queue AS queue, e.channel AS channel,
    toDate(formatDateTime(assumeNotNull(e.demand_at), '%F', c.zone)) AS day,
    count() AS offered,
    countIf(e.outcome = 'answered') AS answered,
    countIf(e.outcome = 'answered' AND e.frt_ms <= e.target_ms) AS answered_in_target,
    countIf(e.outcome = 'abandoned') AS abandoned,
    countIf(e.outcome = 'abandoned' AND e.abandon_wait_ms <= e.short_ms) AS short_abandoned,
    countIf(e.outcome = 'closed_unanswered') AS closed_unanswered,
    countIf(e.outcome = 'waiting') AS waiting,
    countIf(e.outcome = 'waiting'
        AND ifNull(toUnixTimestamp64Milli(c.as_of) - toUnixTimestamp64Milli(e.demand_at) < e.target_ms, true)) AS undecided,
    if(offered = short_abandoned + undecided, NULL, answered_in_target / (offered - short_abandoned - undecided)) AS service_level,
    if(offered = short_abandoned, NULL, (abandoned - short_abandoned) / (offered - short_abandoned)) AS abandon_rate,
    undecided > 0 AS provisional,
    max(e.formula_id) AS formula_id
FROM episodes AS e LEFT JOIN clocks AS c ON c.tenant = e.tenant
WHERE e.demand_at IS NOT NULL
GROUP BY tenant, queue, channel, day
COMMENT 'Service level and abandonment per queue, channel and day of d, in the zone of the tenant';

CREATE OR REPLACE VIEW backlog_now
(
    tenant String COMMENT 'Tenant',
    queue String COMMENT 'Queue',
    channel String COMMENT 'Channel',
    as_of Nullable(DateTime64(3, 'UTC')) COMMENT 'Now, for this tenant',
    open Int64 COMMENT 'Open episodes',
    with_bot Int64 COMMENT 'Of open: a bot is engaged and nobody asked for',
    awaiting_first Int64 COMMENT 'Of open: wait for their first response',
    awaiting_reply Int64 COMMENT 'Of open: were answered, and wait again',
    waiting_on_customer Int64 COMMENT 'Of open: all else',
    backlog Int64 COMMENT 'awaiting_first + awaiting_reply, of any age',
    unassigned Int64 COMMENT 'Of backlog: held by nobody',
    over_target Int64 COMMENT 'Of backlog: for T or longer',
    oldest_ms Nullable(Int64) COMMENT 'The longest wait in the backlog, ms',
    ages Array(Int64) COMMENT 'Backlog by age: under 1, 1-5, 5-15, 15-60 min, 1-24 h, 1 day and more'
)
AS SELECT
    tenant, queue, channel, any(now) AS as_of, count() AS open,
    countIf(state = 'with_bot') AS with_bot, countIf(state = 'awaiting_first') AS awaiting_first,
    countIf(state = 'awaiting_reply') AS awaiting_reply,
    open - with_bot - awaiting_first - awaiting_reply AS waiting_on_customer,
    awaiting_first + awaiting_reply AS backlog,
    countIf(waits AND agent IS NULL) AS unassigned,
    countIf(waits AND age >= target_ms) AS over_target,
    maxIf(age, waits) AS oldest_ms,
    [
        countIf(waits AND age < 60000), countIf(waits AND age >= 60000 AND age < 300000),
        countIf(waits AND age >= 300000 AND age < 900000), countIf(waits AND age >= 900000 AND age < 3600000),
        countIf(waits AND age >= 3600000 AND age < 86400000), countIf(waits AND age >= 86400000)
    ] AS ages
FROM
(
    SELECT
        e.tenant AS tenant, e.queue AS queue, e.channel AS channel, e.state AS state, e.agent AS agent, e.target_ms AS target_ms,
        c.as_of AS now, e.state IN ('awaiting_first', 'awaiting_reply') AS waits,
        greatest(toUnixTimestamp64Milli(c.as_of) - toUnixTimestamp64Milli(e.waiting_since), 0) AS age
    FROM episodes AS e LEFT JOIN clocks AS c ON c.tenant = e.tenant
    WHERE e.closed_at IS NULL
)
GROUP BY tenant, queue, channel
COMMENT 'Who waits for a person now, per queue and channel';

CREATE OR REPLACE VIEW surges
(
    tenant String COMMENT 'Tenant',
    alert String COMMENT 'Id of the alert',
    queue Nullable(String) COMMENT 'Queue; * or NULL: all of them',
    channel Nullable(String) COMMENT 'Channel; * or NULL: all of them',
    state String COMMENT 'firing, acknowledged or resolved, now',
    severity String COMMENT 'info, warning or critical',
    since Nullable(DateTime64(3, 'UTC')) COMMENT 'When it began',
    resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it ended',
    peak Nullable(Float64) COMMENT 'Greatest value',
    expected Nullable(Float64) COMMENT 'What was usual, as last said',
    low Nullable(Float64) COMMENT 'Lower bound of what was usual',
    high Nullable(Float64) COMMENT 'Upper bound of what was usual',
    unit Nullable(String) COMMENT 'Unit of these values',
    acknowledged_by Nullable(String) COMMENT 'Who acknowledged it',
    grade Nullable(String) COMMENT 'useful or noise, as a person judged',
    reason Nullable(String) COMMENT 'Why it last changed',
    drivers String COMMENT 'JSON: what makes up value minus expected, as last said'
)
AS SELECT
    tenant, alert, last.1 AS queue, last.2 AS channel, last.3 AS state, last.4 AS severity, last.5 AS since, last.6 AS resolved_at,
    peak, last.7 AS expected, last.8 AS low, last.9 AS high, last.10 AS unit, last.11 AS acknowledged_by, last.12 AS grade,
    last.13 AS reason, last.14 AS drivers
FROM
(
    SELECT
        tenant, alert, max(a.peak) AS peak,
        argMax((a.queue, a.channel, a.state, a.severity, a.since, a.resolved_at, a.expected, a.low, a.high, a.unit, a.acknowledged_by,
            a.grade, a.reason, a.drivers), (a.at, a.state = 'resolved', a.state = 'acknowledged')) AS last
    FROM alerts AS a
    WHERE coalesce(a.metric, a.rule) = 'surge'
    GROUP BY tenant, alert
)
COMMENT 'Every surge: when, how big, and what people made of it';

CREATE OR REPLACE VIEW grades
(
    tenant String COMMENT 'Tenant',
    rule String COMMENT 'Name of the rule',
    fired UInt64 COMMENT 'Alerts that fired',
    useful UInt64 COMMENT 'Of these: graded useful',
    noise UInt64 COMMENT 'Of these: graded noise',
    useful_rate Nullable(Float64) COMMENT 'Share of the graded that were useful; NULL: none was graded',
    last_fired DateTime64(3, 'UTC') COMMENT 'When the last of them fired'
)
AS SELECT
    tenant, rule, count() AS fired, countIf(grade = 'useful') AS useful, countIf(grade = 'noise') AS noise,
    if(useful + noise = 0, NULL, useful / (useful + noise)) AS useful_rate, max(began) AS last_fired
FROM
(
    SELECT
        tenant, a.rule AS rule, alert, min(a.at) AS began,
        argMax((a.grade,), (a.at, a.state = 'resolved', a.state = 'acknowledged')).1 AS grade
    FROM alerts AS a
    GROUP BY tenant, rule, alert
)
GROUP BY tenant, rule
COMMENT 'How often each rule fired, and what people thought of it';
