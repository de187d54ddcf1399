"""`python -m mer_cli` and the installed `mer`."""

from mer_cli.cli.main import main

if __name__ == "__main__":
    main()
