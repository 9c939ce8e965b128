"""Views of anchors: drawn, rendered on CPU or device, streamed."""
