"""The descriptors of the classical methods: arrays of what is seen of a clip in, a vector that describes it out.

A support-vector machine learns from the vectors (`training.classical`). Nothing here knows of clips, folds or files.
"""
