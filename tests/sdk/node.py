"""The Node SDKs against the same gateway, in the folder SDK_NODE where tests/sdk/run has installed them."""

import os
import shutil
import subprocess


def checks(url, key):
    """Name and success of each check, printed as it goes; none where Node is not to be had."""
    folder = os.environ.get("SDK_NODE")
    if not folder:
        return []
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "GATEWAY_URL": url, "CLIENT_KEY": key}
    command = [shutil.which("node"), "check.mjs"]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired as late:
        print(f"FAILED  node: {late}")
        return [("node", False)]
    print(done.stdout, end="")
    lines = [line.split() for line in done.stdout.splitlines()]
    results = [(line[1], line[0] == "ok") for line in lines if line[:1] in (["ok"], ["FAILED"])]
    if done.returncode != 0 or not results:
        print(done.stderr, end="")
        results.append(("node", False))
    return results
