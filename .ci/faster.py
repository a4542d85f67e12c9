"""Fail if PyTorch takes less time than minighost: ``python .ci/faster.py versus/results/results.json``.

A peer's ratio is its time over minighost's, computed within each round and then the median; below 1 it is faster.
"""

import json
import sys
from pathlib import Path


def main():
    works = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["works"]
    ratios = {
        f"{work['work']}, {peer}": result.get("ratio", {}).get("median")
        for work in works
        for peer, result in work["contestants"].items()
        if peer.startswith("torch")
    }
    for name, ratio in ratios.items():
        print(f"{name}: {'did not run' if ratio is None else f'{ratio:.2f} times as long as minighost'}")
    if not ratios or None in ratios.values():
        sys.exit("PyTorch did not run")
    if min(ratios.values()) < 1:
        sys.exit("PyTorch is faster on this machine")


if __name__ == "__main__":
    main()
