"""Grad-CAM against boxes: maps, truth, scores, controls and the figure; ``tasks.grad_cam`` defines the task."""
