"""Makes bundles for tests/sanitize: `python -m tests.sanitizing BUNDLE PROGRAM WHOLE SMALL`."""
