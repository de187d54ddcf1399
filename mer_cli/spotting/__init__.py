"""Find intervals of motion in a recording that may be micro-expressions, with their onset, apex and offset.

Takes the frames of a video or a folder, finds and follows the face, and measures what moves in it once the head's own
motion is taken away. Gives intervals with a score, and those that it rejected with the reason.
"""
