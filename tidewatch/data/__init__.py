"""The shipped conversations (`CREDITS.md`) and the demo's configuration."""

from pathlib import Path

HERE = Path(__file__).parent
IRC_HELPDESKS = HERE / "irc-helpdesks.jsonl.gz"
IRC_UBUNTU = HERE / "irc-ubuntu.jsonl.gz"
CROSSWOZ = HERE / "crosswoz.jsonl.gz"
