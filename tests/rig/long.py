"""How long the long forms of the rows are: what a person may set when they run them.

They are taken out of the environment: the product refuses to start where a `TIDEWATCH_…` names no setting of its own.
"""

from __future__ import annotations

import os

SOAK_MIN = float(os.environ.pop("TIDEWATCH_SOAK_MIN", "0"))
"""Minutes of `make soak`; 0: it was not asked for."""
KILLS = int(os.environ.pop("TIDEWATCH_KILLS", "0"))
"""Deaths of the rows that have many; 0: as the row itself says."""
BACKLOG_MIN = float(os.environ.pop("TIDEWATCH_BACKLOG_MIN", "0"))
"""Minutes of backlog; 0: as the row itself says."""
