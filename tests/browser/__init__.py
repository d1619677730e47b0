"""Tests that open the program's pages in a real browser: Debian's Chromium, driven by Selenium."""
