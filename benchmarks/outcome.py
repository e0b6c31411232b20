"""What benchmarks print: one JSON object a line."""

import json
import sys


def say(
    benchmark: str,
    case: str,
    metric: str,
    value: float,
    unit: str,
    baseline: float | None = None,
    ratio: float | None = None,
    **more: float | bool | None,
) -> None:
    """One line of the outcome, in five digits; the ratio is to the baseline where not given."""
    if ratio is None and baseline is not None:
        ratio = value / baseline
    numbers = {"value": value, "baseline": baseline, "ratio": ratio}
    rounded = {name: None if x is None else float(f"{x:.5g}") for name, x in numbers.items()}
    line = {"benchmark": benchmark, "case": case, "metric": metric, "unit": unit, **rounded, **more}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
