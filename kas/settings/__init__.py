"""What an operator may set, from ``kas.yaml`` and the environment.

``model`` says what there is, with ``git`` and ``webhooks`` for the two large sections, ``values`` how single values are
written, ``load`` reads and explains mistakes, ``document`` writes ``docs/kas-settings.md``. Rooms do not know this
package: ``kas/app.py`` hands each its own plain values.
"""

from kas.settings.load import Problem, SettingsError, load_settings
from kas.settings.model import Settings, default_data_dir
from kas.settings.values import Address

__all__ = ["Address", "Problem", "Settings", "SettingsError", "default_data_dir", "load_settings"]
