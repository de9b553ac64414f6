"""Check params files: `python -m config`."""

from config.parameters import main

if __name__ == "__main__":
    raise SystemExit(main())
