"""From files of a revision to objects: selecting, parsing, configuration. Pure."""
