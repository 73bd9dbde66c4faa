"""Servers that federate with each other, people on them, and what they do, for federation_suite.py."""
