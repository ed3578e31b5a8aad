"""From a finished run to the record that is committed: with the floors of its own data, without people's words."""

from __future__ import annotations

from pathlib import Path

from vljepa_core.baselines import with_trivial
from vljepa_core.goals import with_controls
from vljepa_core.records import Record, human_captions, keep
from vljepa_core.runs import Prepared


def keep_run(record: Record, run: Prepared, path: Path) -> None:
    """Write the record of ``run`` to ``path``, where it will be committed.

    With it go what answers score on its data that see no image, and what its goals stand on: whoever reads it elsewhere
    has no data to compute them from.

    Raises:
        ValueError: the record is of other images than ``run``.
    """
    keep(with_trivial(with_controls(record, run.examples), run.examples), path, human_captions(run.dataset))
