"""Decides what a run is: its method, its settings, its folds, and the directory that holds it. Loads no torch."""
