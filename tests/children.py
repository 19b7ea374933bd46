"""Calls functions in forked processes, which have torch already, and whose imports and settings end with them."""

import multiprocessing
import os
import sys
import traceback

from tests.scripts import ROOT

LIMIT = 120  # seconds, on a machine that does much else


def in_child(function, *arguments, folder=None):
    """What function(*arguments) returns in a process of its own, where `import cosplace` works.

    folder: its working folder (default: this process's)
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_call, args=(sender, folder, function, arguments))
    process.start()
    sender.close()
    try:
        assert receiver.poll(LIMIT), "the child hangs"
        worked, result = receiver.recv()
    finally:
        process.kill()
        process.join()
    assert worked, result
    return result


def _call(sender, folder, function, arguments):
    os.chdir(folder or ".")
    sys.path.append(str(ROOT / "python"))
    try:
        sender.send((True, function(*arguments)))
    except BaseException:
        sender.send((False, traceback.format_exc()))
