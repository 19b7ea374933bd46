"""Speed and memory as ratios to the published way, written plainly. Run each as `python -m benchmarks.<name>`."""
