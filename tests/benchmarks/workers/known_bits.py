"""The bits of known runs in this process, by name, as one line of JSON on stdout."""

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.small_runs import SmallRuns, sample  # noqa: E402


def main():
    runs = SmallRuns()
    native = runs.native["sd15"]
    models = {**runs.native, "lora": runs.with_lora(native), "inheriting": runs.inheriting(native),
              "adaptive": runs.inheriting(native, sites="auto", mode="adaptive", threshold=0.3)}
    print(json.dumps({name: hashlib.sha256(sample(model).numpy().tobytes()).hexdigest()
                      for name, model in models.items()}))


if __name__ == "__main__":
    main()
