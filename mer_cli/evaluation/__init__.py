"""Takes the stored predictions of every fold and the labels, and gives numbers under a named epoch rule.

Nothing here reads a file, prints, or knows of torch; whatever a guesser gets under the same rule is computed here too.
"""
