"""`python -m imil`: the command, where no script is on the path."""

import os
import sys

if __name__ == "__main__":
    # `-m` puts the working folder first, where a module may be anybody's, `pathlib` among them
    parent = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    if not sys.flags.safe_path and not os.path.samefile(parent, sys.path[0]):  # noqa: PTH121
        del sys.path[0]

    from imil.cli.main import main

    main()
