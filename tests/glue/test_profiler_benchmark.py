"""The profiler's account: the parts of a forward make up the whole, and nothing is counted twice."""

import sys

from repository import REPO

sys.path.append(str(REPO / "tests" / "benchmarks"))
import profiler  # noqa: E402

SECONDS = {"in.0": 1.0, "in.0.conv": 1.0, "in.1": 12.0, "in.1.res": 5.0, "in.1.res.conv": 2.0, "in.1.attn": 7.0,
           "in.1.attn.0.attn1": 3.0, "in.1.attn.0.ff": 2.5, "mid": 3.0, "mid.res0": 3.0, "mid.res0.conv": 1.0,
           "out": 0.5}


def test_each_part_counts_once():
    rows = profiler.by_address(SECONDS, dict.fromkeys(SECONDS, 10), total=18.0, flops=1e3)
    assert [row["address"] for row in rows if row["level"] == "unit"] == [
        "in.1.res.conv", "in.1.attn.0.attn1", "in.1.attn.0.ff", "mid.res0.conv"]
    kinds = profiler.by_kind(rows, total=18.0, flops=1e3)
    assert {row["kind"]: row["seconds"] for row in kinds} == {
        "res": 5.0, "conv": 4.0, "attn1": 3.0, "ff": 2.5, "proj": 1.5, "rest": 1.5, "out": 0.5}
    assert sum(row["share_of_time"] for row in kinds) == 1.0
