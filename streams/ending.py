"""A task that was told to end ends, even where a library made an error of it.

A client whose connection breaks while its call is cancelled may raise the error and lose the cancellation: a loop that
waits errors out would then go on for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.errors import InvalidProducerEpoch, ProducerFenced


def shut_out(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler of the loop: that another has the partition, or leads, was said once (`partition_lost`,
    `notifier_leads_no_more`), where it was seen; the Kafka client leaves the same error in futures that nobody asks.
    """
    if not isinstance(context.get("exception"), ProducerFenced | InvalidProducerEpoch):
        loop.default_exception_handler(context)


def go_on() -> None:
    """Called where an error is waited out.

    Raises:
        CancelledError: this task was told to end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
