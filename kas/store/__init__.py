"""All that kas keeps, and the only SQL. ``Store`` is the way in; what it gives are the records of ``records.py``."""
