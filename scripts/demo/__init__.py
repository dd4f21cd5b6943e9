"""``make demo``: the whole system on real parts, told as a story in a terminal.

``story`` is what happens, ``parts`` starts and ends what it happens on, ``forge`` plays GitLab, ``sightings`` takes the
times, ``screen`` writes, ``__main__`` is the command.
"""
