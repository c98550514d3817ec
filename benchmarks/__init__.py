"""Speed and memory, measured against plain baselines: `python -m benchmarks.<system>`."""
