"""Read ``.npy`` files that may be damaged or hostile."""

from __future__ import annotations

import tokenize

UNREADABLE = (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError, MemoryError)
"""What ``np.load`` raises of a file that is not what was written: its header is read as Python's text, and an array is
as large as that says."""
