"""The paper's tables with your runs beside the published numbers, in any format.

Builders fill one model of a table (`model.py`), renderers lay it out, and neither knows of the other. The same inputs
give the same bytes: rows are sorted, numbers are formatted, and nothing says when the report was made.
"""
