"""`python -m imil`: the command, where no script is on the path."""

from imil.cli.main import main

if __name__ == "__main__":
    main()
