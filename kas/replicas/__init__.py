"""What several kas on one database tell each other: hints only, the truth is in PostgreSQL and Git.

``port.py`` says what there is, ``local.py`` is a kas that is alone, ``redis_*.py`` are several. What is told, and what
becomes of it here, is one file a subject.
"""
