"""Speed and memory, measured as ratios to a floor in the same run: `python -m benchmarks`, or `make bench`."""
