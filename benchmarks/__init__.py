"""Speed and memory, as ratios against the published way written plainly; each script is run as `python -m
benchmarks.<name>`.
"""
