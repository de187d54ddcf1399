"""Takes the frames of a `Clip`, finds the face once, on the onset frame, and fixes one transform for the whole clip.
Gives aligned 224x224 crops, uint8 RGB, of the frames around a labelled one.
"""
