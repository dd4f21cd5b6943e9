"""``kas check``: whether kas can do its work here, and what to do where it cannot; also while a kas runs.

One file a subject: ``files``, ``certificates``, ``ports``, ``database``, ``redis``, ``repositories``. Nothing is left
behind, and nothing that a running kas uses is written to.
"""
