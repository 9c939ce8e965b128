"""Sensitivity: does the ranking of methods survive another pooling, layer, normalisation, size or step budget?"""
