"""Tests of the project; tests/run runs all of them."""
