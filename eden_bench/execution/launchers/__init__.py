"""Launchers execute a run's jobs: in this process, in one process a device, or on a Ray cluster.

The runner decides what is to be done and stores what comes back; a launcher only computes. ``worker`` is what all of
them call, ``pool`` hands jobs to workers that may die, ``devices`` and ``ray_cluster`` are where such workers live.
"""
