"""The real binary, in a directory of its own with one provider a protocol and one model a script."""

import json
import os
import pathlib
import re
import signal
import subprocess
import threading

import upstream

CLIENT_KEY = "key-of-the-client"
SCRIPTS = ["text", "tool", "turns", "broken", "broken-across", "status-400", "status-429", "status-500"]


def provider(name, address, anthropic):
    return {
        "name": name,
        "display_name": name,
        "enabled": True,
        "api_keys": {"env_var_patterns": ["SCRIPTED_API_KEY"]},
        "endpoints": {
            "base_url": f"{address}/v1",
            "completions": "/messages" if anthropic else "/chat/completions",
            "compatible_format": "anthropic" if anthropic else "openai",
        },
        "authentication": {
            "header_name": "x-api-key" if anthropic else "Authorization",
            "header_format": "{api_key}" if anthropic else "Bearer {api_key}",
        },
        # one call for each question, so that the SDK sees the upstream's own error
        "request_config": {"max_retries": 0},
    }


def write_config(folder, address, scripts):
    for kind in ("providers", "models"):
        (folder / kind).mkdir(parents=True)
    for name in ("openai", "anthropic"):
        for script in scripts:
            # a provider a model: a key that one script puts to rest is missed by no other
            here = f"{name}-{script}"
            file = provider(here, address, name == "anthropic")
            (folder / "providers" / f"{here}.json").write_text(json.dumps(file))
            model = {"logical_name": here, "model_routings": [{"provider": here, "model": script}]}
            (folder / "models" / f"{here}.json").write_text(json.dumps(model))


class Gateway:
    def __init__(self, binary, directory, address, scripts=SCRIPTS):
        directory = pathlib.Path(directory)
        write_config(directory / "config", address, scripts)
        self.printed = []
        self.process = subprocess.Popen(
            [os.path.abspath(binary), "serve"],
            cwd=directory,
            env={
                "HOST": "127.0.0.1",
                "PORT": "0",
                "CONFIG_DIR": str(directory / "config"),
                "DATABASE_URL": f"sqlite:///{directory}/log.db",
                "CLIENT_API_KEY": CLIENT_KEY,
                "SCRIPTED_API_KEY": upstream.KEY,
                "RATE_LIMIT_REQUESTS_PER_MINUTE": "0",
                "RATE_LIMIT_TOKENS_PER_MINUTE": "0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        listening = threading.Event()
        threading.Thread(target=self._read, args=(listening,), daemon=True).start()
        assert listening.wait(20), f"the gateway does not listen:\n{self.output()}"
        assert self.process.poll() is None, f"the gateway has ended:\n{self.output()}"

    def _read(self, listening):
        for line in self.process.stdout:
            self.printed.append(line)
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found and not listening.is_set():
                self.url = found[0]
                listening.set()
        listening.set()

    def output(self):
        return "".join(self.printed)

    def stop(self):
        """Stops it as an operator does; true if it ended in order."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            return False
