"""Tests; see tests/run."""
