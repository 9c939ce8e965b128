"""Audit datasets for leakage: find images and patients shared by training and test.

Modules, in the order of the data: ``looks`` (one look at every image, cached), ``hashing`` and ``matching`` (which
images show the same film), ``films`` (who is whose copy), ``rules`` (what is known without pixels), ``findings``
(what it means), ``auditing`` (all of it), ``stored`` (kept for the report). Nothing is imported here, so the report
reads rules and stored audits without numpy.
"""
