"""Benchmarks: each result stands beside a yardstick that was measured in the same run.

python -m benchmarks NAME [--json]
"""
