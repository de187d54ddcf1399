"""Takes run directories and the published numbers, and gives the paper's tables as text with ours below.

The same inputs give the same bytes: rows are sorted, numbers formatted, and nothing says when it was made.
"""
