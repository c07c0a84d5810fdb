"""What the algorithms of Stable-Baselines3 log, for TensorBoard, by the writer that all methods share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter

from echelon.agents.training import Writer


class TensorBoard(KVWriter):
    """The numbers of an algorithm's log."""

    def __init__(self, folder: str | Path) -> None:
        self._writer = Writer(folder)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write the numbers of a step."""
        numbers = {
            name: float(value)
            for name, value in sorted(key_values.items())
            if isinstance(value, int | float | np.number) and "tensorboard" not in (key_excluded.get(name) or ())
        }
        self._writer.write_all(numbers, step)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()
