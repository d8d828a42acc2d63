"""The sample application, with routes that write to descriptors 1 and 2 past Python's streams."""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import multiprocessing
import os
import subprocess
import sys
from functools import partial

from flask import Flask

from tests import sample

os.write(1, b"imported\n")


def create_app() -> Flask:
    app = sample.create_app()
    atexit.register(partial(os.write, 2, b"at exit, not ended"))

    @app.get("/raw")
    def raw() -> str:
        os.write(1, b"written by os.write\n")
        libc = ctypes.CDLL(None)
        libc.puts(b"written by C")
        libc.fflush(None)
        subprocess.run(["sh", "-c", "echo written by a child; echo and its error >&2"], check=True)
        subprocess.run([sys.executable, "-c", "1 / 0"], check=False)
        spawned = multiprocessing.get_context("spawn").Process(target=print, args=("written by a spawned child",))
        spawned.start()
        spawned.join()
        return "written"

    @app.get("/half")
    def half() -> str:
        os.write(2, b"half a line")
        return "written"

    @app.get("/flood")
    def flood() -> str:
        subprocess.run(["sh", "-c", "yes 'one of many' | head -n 100000"], check=True)
        return "written"

    @app.get("/leave")
    def leave() -> str:
        subprocess.Popen(["sh", "-c", "exec sleep 10"])
        return "left"

    @app.get("/crash")
    def crash() -> str:
        faulthandler.enable()
        ctypes.string_at(0)
        return "unreachable"

    return app
