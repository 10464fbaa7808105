"""Settings on the pictures that the benchmark `quality` times, beside those of `quality` itself."""

from support import measure
from support.quality_cells import Cells, Key, speed_and_closeness
from support.quality_rounds import QualityRounds
from support.quality_scope import Scope
from support.quality_settings import OUR_SETTINGS


def _stored_rows(scope: Scope, condition, numbers: range) -> dict:
    """Rows of `quality` by setting, of those settings that this machine timed in all batches of `numbers`."""
    cells = Cells(scope.folder, scope.rows)
    rows = {setting: cells.timed_rows(Key.of(condition, setting, scope.pictures), numbers, measure.device_name())
            for setting in OUR_SETTINGS}
    return {setting: of_setting for setting, of_setting in rows.items() if len(of_setting) == len(numbers)}


def measured(rounds: QualityRounds, scope: Scope, condition, numbers: range, settings: list) -> dict:
    """Speed and closeness over the batches of `numbers`, by setting: `settings`, measured now, and OUR_SETTINGS, read
    where this machine timed them and measured where it did not."""
    rows = _stored_rows(scope, condition, numbers)
    left = [setting for setting in (*OUR_SETTINGS, *settings) if setting not in rows]
    for number in numbers:
        for setting, figures in rounds.measure(condition, scope.batches[number], left, True, [], float("inf")):
            rows.setdefault(setting, []).append(figures)
    return {setting: speed_and_closeness(of_setting) for setting, of_setting in rows.items()}
