"""``python -m tests.forge``: build Gitea unless it is cached, so that the first test need not."""

from __future__ import annotations

import sys

from tests.forge.binary import find_gitea
from tests.support.go_build import GoBuildError

if __name__ == "__main__":
    try:
        find_gitea()
    except GoBuildError as error:
        sys.exit(str(error))
