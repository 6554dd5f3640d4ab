"""Tests of the fake HTTP server; run by ../selftest.py."""
