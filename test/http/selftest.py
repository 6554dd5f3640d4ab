#!/usr/bin/env python3
"""Tests of the fake HTTP server itself: python3 selftest.py [unittest's arguments]"""

import os
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.argv += ["discover", "-s", os.path.join(HERE, "selftests"), "-t", HERE]
    unittest.main(module=None)
