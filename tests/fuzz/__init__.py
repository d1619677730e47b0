"""Tests with many random and mutated inputs."""
