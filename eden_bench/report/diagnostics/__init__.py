"""What stored probabilities say beside the score, without any training: calibration, groups, missed findings, the drop.

``collect.diagnostics(records)`` gives one ``Diagnostic`` for each question and row, with rows to show, sentences to
print, the ids of the cells it is of, and the slug of its formula.
"""
