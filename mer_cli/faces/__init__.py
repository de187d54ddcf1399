"""Read the frames of a `Clip`, find its face once, on the onset frame, and cut aligned crops of all frames.

Crops are 224x224, uint8 RGB, and all made with the one transform of the onset frame.
"""
