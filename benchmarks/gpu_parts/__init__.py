"""What is measured on a card, one file a part; ``benchmarks/gpu.py`` runs each in a process of its own.

The folder is the list. A part has

- ``TITLE``: what it measures, for the page;
- ``LIMIT_S``: seconds after which its process is ended, start and imports included; what it had yielded by then is
  kept. All parts together have 360;
- ``measure(device, small)``: yields a ``benchmarks.timing.Bar`` as soon as it is known, so the cheapest first. With
  ``small`` it takes sizes for a rehearsal on the CPU, a few seconds in all.

A bar's id is a target's (``benchmarks/gpu_targets.py``), or that with a word behind a hyphen (``G1-n0``). A figure
without a peer is ``timing.against_rate``; one of which nothing is asked, ``timing.stated``; a peer that is not
installed, ``timing.skipped``. Launches a step and the GPU's busy share: ``benchmarks.launches.hot_loop``, ``G13-...``.
"""
