#!/usr/bin/env python3
"""What a tracker bears: how many of each command it answers per second, and what they cost it. It is asked
on a number of connections at once, as the daemon's workers do; keys are made in a domain of their own and
deleted at the end.

usage: tracker.py HOST:PORT [PID]      PID: the tracker's first process, if it runs here: its processor time
environment: CONNECTIONS='1 4 16' SECONDS=5 KEYS=1000
"""

import multiprocessing
import os
import sys
import time
import urllib.request

from cluster import Tracker
from measure import cpu

DOMAIN = f"bench{os.getpid()}"
SECONDS = float(os.environ.get("SECONDS", "5"))
KEYS = int(os.environ.get("KEYS", "1000"))
BODY = b"x" * 4096


def store(tracker, key):
    """One file as an upload stores it; the times of its two commands."""
    begun = time.monotonic()
    opened = tracker.ask("create_open", domain=DOMAIN, key=key, size=len(BODY))
    between = time.monotonic()
    path = opened.get("path") or opened["path_1"]
    urllib.request.urlopen(urllib.request.Request(path, BODY, method="PUT"), timeout=20).close()
    put = time.monotonic()
    tracker.ask("create_close", domain=DOMAIN, key=key, fid=opened["fid"], path=path,
                devid=opened.get("devid") or opened["devid_1"], size=len(BODY))
    return between - begun, time.monotonic() - put


def get_paths(tracker, number):
    tracker.line("get_paths", domain=DOMAIN, key=f"k{number % KEYS}", noverify=1)


def file_info(tracker, number):
    tracker.line("file_info", domain=DOMAIN, key=f"k{number % KEYS}")


def list_keys(tracker, _):
    tracker.line("list_keys", domain=DOMAIN, prefix="k", after="", limit=1000)


def list_fids(tracker, _):
    tracker.line("list_fids", **{"from": 1, "to": 500})


def upload(tracker, number):
    store(tracker, f"up-{os.getpid()}-{number % 50}")


CASES = {"get_paths": get_paths, "file_info": file_info, "list_keys, a page": list_keys,
         "list_fids, a page": list_fids, "create_open, PUT of 4 KiB, create_close": upload}


def ask(address, case, begin, counts, at, slowest):
    tracker, number = Tracker(address), os.getpid()
    begin.wait()
    end = time.monotonic() + SECONDS
    while (begun := time.monotonic()) < end:
        CASES[case](tracker, number)
        slowest[at] = max(slowest[at], time.monotonic() - begun)
        counts[at] += 1
        number += 1


def idle(pid):
    """What it costs by itself: watching nodes, copying, deleting. Seconds of a processor a second."""
    before = cpu(pid)
    time.sleep(SECONDS)
    return (cpu(pid) - before) / SECONDS


def measure(address, pid, case, connections, alone):
    counts, slowest = multiprocessing.Array("l", connections), multiprocessing.Array("d", connections)
    begin = multiprocessing.Barrier(connections + 1)
    askers = [multiprocessing.Process(target=ask, args=(address, case, begin, counts, at, slowest))
              for at in range(connections)]
    for asker in askers:
        asker.start()
    before = cpu(pid) if pid else 0
    begin.wait()
    for asker in askers:
        asker.join()
    total = sum(counts)
    used = f"{(cpu(pid) - before - alone * SECONDS) / max(total, 1) * 1000:.2f}" if pid else "–"
    print(f"| {case} | {connections} | {total / SECONDS:,.0f} | {max(slowest) * 1000:.0f} | {used} |", flush=True)


def main(address, pid=None):
    pid = pid and int(pid)
    tracker = Tracker(address)
    tracker.ask("create_domain", domain=DOMAIN)
    try:
        # The tracker's children learn of a new domain a little later.
        for _ in range(100):
            try:
                store(tracker, "k0")
                break
            except (RuntimeError, OSError):
                time.sleep(0.2)
        for number in range(1, KEYS):
            store(tracker, f"k{number}")
        print("| command | connections | per s | slowest, ms | CPU ms each |\n|---|---|---|---|---|")
        alone = idle(pid) if pid else 0
        for case in CASES:
            for connections in os.environ.get("CONNECTIONS", "1 4 16").split():
                measure(address, pid, case, int(connections), alone)
    finally:
        while "key_count" in (page := tracker.line("list_keys", domain=DOMAIN, prefix="", after="", limit=1000)):
            for word in page.split("&"):
                name, _, key = word.removeprefix("OK ").partition("=")
                if name.startswith("key_") and name != "key_count":
                    tracker.line("delete", domain=DOMAIN, key=key)
        tracker.line("delete_domain", domain=DOMAIN)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:3])
