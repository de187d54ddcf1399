"""The networks and descriptors, one file each, read like their papers: float tensors in, logits or a vector out.

What else `mer` knows of a method (its input, recipe, paper) is its entry in `runs/methods.py`. Nothing here knows of
clips, folds or files, except `official`, which maps a released state dict onto `mmnet`.
"""
