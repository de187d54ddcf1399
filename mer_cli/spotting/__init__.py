"""Find intervals of motion in a recording that may be micro-expressions, with their onset, apex and offset.

The face is found and followed, and what moves in it is measured once the head's own motion is taken away. An interval
has a score; one that is explained otherwise is rejected, with the reason.
"""
