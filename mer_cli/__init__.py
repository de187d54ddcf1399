"""mer: micro-expression recognition, from a raw release to MMNet's tables."""

__version__ = "0.1.0"
