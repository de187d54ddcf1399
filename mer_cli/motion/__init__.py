"""Compute how the face moved between a store's labelled onset and apex frames: optical flow, strain and magnitude.

The flow is computed once and kept beside the store; networks and descriptors read it at the size they need.
"""
