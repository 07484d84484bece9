"""The line: from what customers and agents do to what is said of it.

What runs for every event is compiled where `make setup` could (`streams.native`).
"""

from streams import waiting
from streams.native import take_up

take_up(__path__)
waiting.mend()
