#!/usr/bin/env python3
"""Measures module File beside other servers, case by case, all servers in each round in turn: first to
last, then last to first. Writes what was found as JSON.

usage: files.py BINARIES STORE OUTPUT        environment: CASES, ROUNDS
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import servers
from measure import FAILED, Load, chosen, clear_the_way, congestion, cost, fail, file_system, rounds, told
from servers import HOME, PASSWORD, RUN

OURS, SHA, HUNDRED, TLS = ("nanoftpd", "nanoftpd, SHA-512", "nanoftpd, 100 sessions a worker", "nanoftpd, TLS")
# Who is slow gets fewer, so that a round takes no longer than it must.
LOGINS = {"vsftpd": 150, "pure-ftpd": 200, "proftpd": 60, SHA: 200}


def logins(user, clients):
    def case(load, server):
        count = LOGINS.get(server.name, 1000) // (1 if clients > 1 else 2)
        return load(server, user, "login", count, clients)
    return case


def retr(load, server):
    return load(server, "md5", "retr", "big.bin", 4, 1)


def stor(directory):
    def case(load, server):
        clear_the_way()
        return load(server, "md5", "stor", f"{directory}/{server.port}.bin", f"{HOME}/big.bin", 2)
    return case


def small(load, server):
    return load(server, "md5", "small", "up", 1000, f"{RUN}/4k.bin", 4)


def listing(verb):
    return lambda load, server: load(server, "md5", "list", f"{verb} many", 3)


def crowd(load, server):
    return load(server, "md5", "crowd", 300, "big.bin", 2)


def latency(load, server):
    return load(server, "md5", "latency", 64, 40, "up")


def curl(server, *words):
    command = ["curl", "-sS", "--fail", "--user", f"md5:{PASSWORD}", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"curl: {done.returncode}")
    return done.stdout


def secret(direction):
    """Under TLS: curl is the client, and costs more than the server; processor time is what counts."""
    def case(_, server):
        clear_the_way()
        url = f"ftp://127.0.0.1:{server.port}/"
        words = ["--ssl-reqd", "-k", "-w", "%{speed_download} %{speed_upload}"]
        if direction == "retr":
            words += ["-o", "/dev/null", f"{url}big.bin"]
        else:
            words += ["-T", f"{HOME}/big.bin", f"{url}up/{server.port}.tls"]
        speeds, used = cost(server.pid, lambda: curl(server, *words).split())
        speed = max(map(float, speeds))
        return {"mb_per_s": speed / 1e6, "cpu_s_per_gb": used / (os.path.getsize(f"{HOME}/big.bin") / 1e9)}
    return case


CASES = {
    "login1": logins("md5", 1),
    "login8": logins("md5", 8),
    "login1-sha512": logins("sha", 1),
    "login8-sha512": logins("sha", 8),
    "retr": retr,
    "stor": stor("up"),
    "stor-disk": stor("disk"),
    "small": small,
    "list": listing("LIST"),
    "mlsd": listing("MLSD"),
    "nlst": listing("NLST"),
    "crowd": crowd,
    "latency": latency,
    "tls-retr": secret("retr"),
    "tls-stor": secret("stor"),
}


def who(case, all_servers):
    """Who takes part: of ours, the one that the case is about."""
    if case in ("login1-sha512", "login8-sha512"):
        ours = {SHA}
    elif case.startswith("tls"):
        ours = {TLS}
    elif case in ("login1", "login8"):
        ours = {OURS, HUNDRED}
    else:
        ours = {OURS}
    for server in all_servers:
        is_ours = server.name.startswith("nanoftpd")
        if server.name.endswith("2 workers") and not case.startswith("login") and case != "retr":
            continue
        if server.name.endswith(", TLS") != case.startswith("tls"):
            continue
        if is_ours and server.name not in ours or case.upper() in server.lacks:
            continue
        yield server


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() if hasattr(hashlib, "file_digest") \
            else hashlib.md5(file.read()).hexdigest()


def check(case, server, whole):
    """The MD5 of what was transferred, once."""
    url = f"ftp://127.0.0.1:{server.port}/"
    tls = ["--ssl-reqd", "-k"] if case.startswith("tls") else []
    stored = {"stor": f"{HOME}/up/{server.port}.bin", "stor-disk": f"{HOME}/disk/{server.port}.bin",
              "tls-stor": f"{HOME}/up/{server.port}.tls"}.get(case)
    if stored:
        found = digest(stored)
        os.remove(stored)
        if found != whole:
            raise RuntimeError("other bytes were stored than sent")
    elif case in ("retr", "crowd", "tls-retr"):
        curl(server, *tls, "-o", f"{RUN}/got", f"{url}big.bin")
        if digest(f"{RUN}/got") != whole:
            raise RuntimeError("other bytes came than there are")
    elif case == "small":
        curl(server, "-T", f"{RUN}/4k.bin", f"{url}up/check.dat")
        curl(server, "-o", f"{RUN}/got", f"{url}up/check.dat")
        if not digest(f"{RUN}/got") == digest(f"{HOME}/up/check.dat") == digest(f"{RUN}/4k.bin"):
            raise RuntimeError("a small file is another one")
        os.remove(f"{HOME}/up/check.dat")


def main(binaries, store, output):
    disk = f"{os.path.dirname(os.path.abspath(output))}/disk"
    shutil.rmtree(disk, ignore_errors=True)
    servers.prepare(disk)
    all_servers = servers.start_all(binaries, store)
    load = Load(binaries, PASSWORD)
    whole = digest(f"{HOME}/big.bin")
    found = {}
    for case in chosen(CASES):
        told(case)
        taking_part = list(who(case, all_servers))
        found[case] = rounds(case, taking_part, lambda server: CASES[case](load, server))
        for server in taking_part:
            if server.name in found[case]:
                try:
                    check(case, server, whole)
                except RuntimeError as why:
                    del found[case][server.name]
                    fail(case, server.name, why)
    versions = {server.name: server.version for server in all_servers}
    with open(output, "w") as file:
        json.dump({"versions": versions, "congestion": congestion(), "disk": file_system(disk), "cases": found,
                   "failed": FAILED}, file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:4])
