"""Find a Chromium for the browser tests, or install one, or say what to do. Run by `make test`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REMEDY = (
    "No Chromium for the browser tests. Install one (Debian, Ubuntu: apt-get install chromium), "
    "or name one in the environment: CHROMIUM=/path/to/chromium make test"
)


def find() -> str | None:
    """The executable named by `CHROMIUM`, else one on the PATH, else the one that Playwright installed."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    on_path = (shutil.which(name) for name in NAMES)
    return next(filter(None, on_path), None) or _from_playwright()


def install() -> None:
    """Try the system's packages where we may, then Playwright's own download."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing Chromium with apt-get …", flush=True)
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium")
    if find() is None:
        print("Installing Chromium with Playwright …", flush=True)
        _run(sys.executable, "-m", "playwright", "install", "chromium")


def _from_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _run(*command: str) -> None:
    # A failure shows in what `find` says afterwards; the command's own words are on the terminal.
    subprocess.run(command, check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def main() -> None:
    if find() is None and not os.environ.get("CHROMIUM"):
        install()
    found = find()
    if found is None:
        sys.exit(REMEDY)
    print(f"Browser tests use {found}")


if __name__ == "__main__":
    main()
