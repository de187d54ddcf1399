"""Takes run directories, stores and the published numbers, and gives the paper's tables, ours beside, in any format.

Builders fill one model of a table (`model.py`), renderers lay it out, and neither knows of the other. The same inputs
give the same bytes: rows are sorted, numbers formatted, and nothing says when it was made.
"""
