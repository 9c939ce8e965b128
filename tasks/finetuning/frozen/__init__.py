"""Frozen evaluation: what an encoder's features are worth without training it (``eden_bench.protocols.frozen``)."""
