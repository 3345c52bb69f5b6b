#!/usr/bin/env python3
"""The rules of this house, held by a test: each fault names file, line and what to do.

usage: check.py ROOT [--compiler g++] [--cache DIR] [--no-headers]
The table of layers stands in layers.py, one function a rule in rules.py. Exit 1 when a rule is broken.
"""
