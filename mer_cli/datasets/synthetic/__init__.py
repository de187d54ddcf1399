"""Takes a size and a seed, and the head data in this folder (CC0, see HEAD_DATA_LICENSE.md).

Gives a release of generated faces on disk, in the layout of a real one, with the true motion of each clip beside it.
"""
