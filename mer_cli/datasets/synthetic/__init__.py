"""Write releases of generated faces in the layouts of the real ones, with the true motion of each clip beside them.

The faces are made from the head data in this folder (CC0, see HEAD_DATA_LICENSE.md).
"""
