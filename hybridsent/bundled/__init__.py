"""Provide a default that needs no Hub: encoders out of PyPI packages, a synthetic set of posts."""
