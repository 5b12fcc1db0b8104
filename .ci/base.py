"""Opens every page of the installed app as a browser does, without one, and reads its log.

Run outside the clone by the Python of an environment that holds the wheel alone: `python base.py RUNS`, where RUNS is a
folder of runs. It fails where a page shows an exception, where the log has a traceback or a warning, where a package
that only training needs is installed, and where the library is not the wheel's.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

import smp_lab

TRAINING = ("torch", "transformers", "datasets", "accelerate", "sklearn", "scipy", "ray", "pytest")


async def run_page(socket: websockets.ClientConnection, page_hash: str = "") -> list[ForwardMsg]:
    """All that the server sends until the script of a page has ended."""
    ask = BackMsg()
    ask.rerun_script.page_script_hash = page_hash
    await socket.send(ask.SerializeToString())
    messages: list[ForwardMsg] = []
    while not messages or messages[-1].WhichOneof("type") != "script_finished":
        messages.append(ForwardMsg.FromString(await socket.recv()))
    return messages


def exceptions(messages: list[ForwardMsg]) -> list[str]:
    """Exceptions that a page shows."""
    elements = (message.delta.new_element for message in messages if message.WhichOneof("type") == "delta")
    return [element.exception.message for element in elements if element.WhichOneof("type") == "exception"]


async def visit(address: str) -> list[str]:
    """Open each page of the navigation; returns their names."""
    async with websockets.connect(f"ws://{address}/_stcore/stream", max_size=None) as socket:
        first = await run_page(socket)
        (pages,) = (message.navigation.app_pages for message in first if message.WhichOneof("type") == "navigation")
        for page in pages:
            found = exceptions(await run_page(socket, page.page_script_hash))
            if found:
                sys.exit(f"Page {page.page_name} shows: {found[0]}")
        return [page.page_name for page in pages]


def main() -> None:
    """Start the app, visit it, and read its log."""
    runs = Path(sys.argv[1]).absolute()
    there = [name for name in TRAINING if importlib.util.find_spec(name)]
    if there or "site-packages" not in str(smp_lab.__file__):
        sys.exit(f"Not an environment with the wheel alone: {there}, {smp_lab.__file__}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = Path("app.log")
    command = [Path(sys.executable).with_name("smp-lab"), "app", "--runs", runs, "--port", address.partition(":")[2]]
    environment = os.environ | {"STREAMLIT_SERVER_HEADLESS": "true"}
    with log.open("wb") as output:
        app = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://{address}/_stcore/health").close()
                break
            except OSError:
                if app.poll() is not None:
                    sys.exit(f"The app ended: {log.read_text()}")
                time.sleep(0.1)
        pages = asyncio.run(visit(address))
    finally:
        app.terminate()
        app.wait()
    printed = log.read_text()
    if any(word in printed for word in ("Traceback", "Warning", "WARNING", "Error")):
        sys.exit(f"The app's log:\n{printed}")
    sys.stdout.write(f"The base install opens {len(pages)} pages: {', '.join(pages)}.\n")


main()
