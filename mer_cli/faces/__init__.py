"""Read the frames of a `Clip`, find its face once, on the onset frame, and cut aligned crops of all frames.

Crops are 224x224, uint8 RGB; all crops of a clip are made with the same transform, from its onset frame.
"""
