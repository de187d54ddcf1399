"""Scores the stored predictions of a run under a named epoch rule, and what guessers reach under the same rule.

Nothing here reads a file, prints, or loads torch.
"""
