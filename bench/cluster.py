#!/usr/bin/env python3
"""Measures the MogileFS modules beside what they stand on: curl straight from and to a storage node, and
the tracker's own answers. Without MOGILEFS_TRACKER a node of its own, with made-up keys.

usage: cluster.py BINARIES OUTPUT        environment: CASES, ROUNDS, MOGILEFS_TRACKER
"""

import hashlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from urllib.parse import parse_qs, unquote

from measure import FAILED, Load, chosen, clear_the_way, congestion, cost, file_system, memory, rounds, timed, told

PASSWORD = "bench"
# Of its own: what is in it is deleted.
DOMAIN = f"bench{os.getpid()}"
LISTS = {"a": 1000, "b": 5000, "c": 100000}
BIG = 256 << 20


class Tracker:
    """Its lines, without anybody's help."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.stream = socket.create_connection((host, int(port)), 30).makefile("rwb")

    def line(self, command, **fields):
        """The answer as it came: whoever reads all of it in Python measures Python."""
        line = command + " " + "&".join(f"{name}={value}" for name, value in fields.items())
        self.stream.write(line.encode() + b"\r\n")
        self.stream.flush()
        return self.stream.readline().decode().strip()

    def ask(self, command, **fields):
        answer = self.line(command, **fields)
        if not answer.startswith("OK"):
            raise RuntimeError(f"{command}: {answer}")
        fields = parse_qs(answer[3:].strip(), keep_blank_values=True)
        return {name: values[0] for name, values in fields.items()}

    def paths(self, key):
        return self.ask("get_paths", domain=DOMAIN, key=key, noverify=1)["path1"]


class Ours:
    """A daemon of its own for each way to upload."""

    def __init__(self, binaries, place, disk, tracker, upload):
        self.name, self.place = f"nanoftpd, {upload}", f"{place}/{upload}"
        os.makedirs(self.place)
        os.chmod(place, 0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        crypted = hashlib.md5(PASSWORD.encode()).hexdigest()
        with open(f"{self.place}/users", "w") as file:
            file.write(f"bench:{crypted}:65534:65534:MogileFs\n")
        group = subprocess.run(["id", "-gn", "nobody"], capture_output=True, text=True).stdout.strip()
        with open(f"{self.place}/conf", "w") as file:
            file.write(f"""[nanoftpd]
listen_addr = 127.0.0.1
listen_port = {self.port}
pidfile = {self.place}/pid
tmpdir = {disk}
userid = nobody
groupid = {group}
[auth.text]
file = {self.place}/users
[mogilefs]
tracker = {tracker}
domain = {DOMAIN}
upload = {upload}
listlimit = 200000
[logging]
file = {self.place}/log
xferlog = {self.place}/xferlog
[status]
socket = {self.place}/control.sock
""")
        subprocess.run([f"{binaries}/nanoftpd", "-c", f"{self.place}/conf"], check=True)
        with open(f"{self.place}/pid") as file:
            self.pid = int(file.read())

    def stop(self):
        os.kill(self.pid, 15)


class Straight:
    """curl, and the raw calls: in the same rounds, under the same load."""
    name = "straight"


class Bench:
    def __init__(self, binaries, place, tracker, has_lists):
        self.tracker, self.place, self.has_lists = Tracker(tracker), place, has_lists
        self.load = Load(binaries, PASSWORD)
        self.ours = {}

    def start(self, binaries, tracker, disk):
        place = self.place
        for way in ("spool", "tee"):
            self.ours[way] = Ours(binaries, place, disk, tracker, way)
        for name, size in (("big.bin", BIG), ("mid.bin", 16 << 20), ("4k.bin", 4096)):
            with open(f"{place}/{name}", "wb") as file:
                file.write(os.urandom(size))
        self.curl("-T", f"{place}/big.bin", self.url("tee", "photos/big.bin"))

    def url(self, way, path):
        return f"ftp://bench:{PASSWORD}@127.0.0.1:{self.ours[way].port}/{path}"

    def curl(self, *words):
        command = ["curl", "-sS", "--fail", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def put(self, source):
        """To where a new file may be; it never becomes one."""
        opened = self.opened()
        # It would wait for a second otherwise whether the node wants it.
        figures = self.speed("-H", "Expect:", "-T", source, opened["path"])
        # A close without a key throws it away.
        self.close(opened, source, "")
        return figures

    def opened(self):
        return self.tracker.ask("create_open", domain=DOMAIN, key="photos/x", **{"class": "photos"})

    def close(self, opened, source, key):
        return self.tracker.line("create_close", domain=DOMAIN, key=key, fid=opened["fid"], path=opened["path"],
                                 devid=opened["devid"], size=os.path.getsize(source))

    def closing(self):
        """How long the tracker takes to close an upload, for which it may ask the node."""
        source, opened = f"{self.place}/4k.bin", self.opened()
        self.curl("-T", source, opened["path"])
        answers = []
        took = timed(lambda: answers.append(self.close(opened, source, "photos/x")))
        if not answers[0].startswith("OK"):
            raise RuntimeError(f"create_close: {answers[0]}")
        return took

    def speed(self, *words):
        values = self.curl("-w", "\n%{speed_download} %{speed_upload}", *words).split()[-2:]
        return {"mb_per_s": max(float(value) for value in values) / 1e6}

    def retr(self, one):
        if isinstance(one, Straight):
            return self.speed("-o", "/dev/null", self.tracker.paths("photos/big.bin"))
        return self.through(one, "photos/big.bin", "-o", "/dev/null")

    def stor(self, one):
        clear_the_way()
        source = f"{self.place}/big.bin"
        if isinstance(one, Straight):
            return self.put(source)
        return self.through(one, "photos/up.bin", "-T", source)

    def through(self, one, path, *words):
        figures, used = cost(one.pid, lambda: self.speed(*words, self.url(one.name.split()[-1], path)))
        return dict(figures, cpu_s_per_gb=used / (BIG / 1e9))

    def small(self, one):
        # A real tracker writes each of them to its database, and to disk.
        count = 1000 if self.has_lists else 100
        return self.load(one, "bench", "small", "photos", count, f"{self.place}/4k.bin", 4)

    def last(self, one):
        if isinstance(one, Straight):
            return {"last_ms": statistics.median(self.closing() for _ in range(10))}
        return self.load(one, "bench", "last", "photos/last.bin", f"{self.place}/mid.bin", 2)

    def listing(self, name, sizes):
        def case(one):
            if isinstance(one, Straight):
                return {"ms": timed(lambda: self.raw(name, sizes))}
            verb, before = "LIST" if sizes else "NLST", memory(one.pid)
            figures = self.load(one, "bench", "list", f"{verb} photos/{name}", 1)
            if figures["lines"] != LISTS[name]:
                raise RuntimeError(f"{figures['lines']} lines")
            return dict(figures, grown_kb=memory(one.pid) - before)
        return case

    def raw(self, name, sizes):
        """The calls that a listing cannot do without: pages of keys, and of what is known of fids."""
        prefix = f"photos/{name}/"
        after = prefix
        while True:
            page = self.tracker.line("list_keys", domain=DOMAIN, prefix=prefix, after=after, limit=1000)
            count = re.search(r"key_count=(\d+)", page)
            if not count or int(count[1]) < 1000:
                break
            after = re.search(rf"key_{count[1]}=([^&]*)", page)[1]
        if sizes:
            key = f"{prefix}{1:0{len(str(LISTS[name]))}}"
            fid = int(self.tracker.ask("file_info", domain=DOMAIN, key=key)["fid"]) - 1
            for start in range(fid, fid + LISTS[name], 500):
                self.tracker.line("list_fids", **{"from": start, "to": 500})

    def check(self):
        for way in self.ours:
            self.curl("-T", f"{self.place}/big.bin", self.url(way, "photos/check.bin"))
            self.curl("-o", f"{self.place}/got", self.url(way, "photos/check.bin"))
            self.curl("-o", f"{self.place}/node", self.tracker.paths("photos/check.bin"))
            sums = set()
            for name in ("big.bin", "got", "node"):
                with open(f"{self.place}/{name}", "rb") as file:
                    sums.add(hashlib.md5(file.read()).hexdigest())
            if len(sums) != 1:
                raise RuntimeError(f"{way}: other bytes came than went")

    def run(self):
        spool, tee, straight = self.ours["spool"], self.ours["tee"], Straight()
        cases = {
            "mogile-retr": (self.retr, [spool, straight]),
            "mogile-stor": (self.stor, [spool, tee, straight]),
            "mogile-small": (self.small, [spool, tee]),
            "mogile-last": (self.last, [spool, tee, straight]),
        }
        for name, count in LISTS.items() if self.has_lists else ():
            cases[f"mogile-nlst-{count}"] = (self.listing(name, False), [spool, straight])
            cases[f"mogile-list-{count}"] = (self.listing(name, True), [spool, straight])
        found = {}
        for case in chosen(cases):
            told(case)
            # The longest lists take long enough to be the same each time.
            most = 3 if case.endswith("100000") else None
            found[case] = rounds(case, cases[case][1], cases[case][0], most)
        self.check()
        return found


def own_node(binaries, place):
    """A MogileFS of our own: its process and its tracker."""
    os.makedirs(f"{place}/mogilefs")
    # One copy of each file: making others takes processors that are measured.
    words = [f"{binaries}/mogilefs-node", "--dir", f"{place}/mogilefs", "--tracker", "127.0.0.1:0",
             "--devices", "3", "--domain", f"{DOMAIN}:photos=1"]
    for name, count in LISTS.items():
        words += ["--fill", f"{DOMAIN}:photos/{name}/:{count}"]
    node = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    address = None
    for line in node.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "tracker":
            address = rest
        if word == "ready":
            return node, address
    raise RuntimeError("the node did not start")


def main(binaries, output):
    place = tempfile.mkdtemp(prefix="nanoftpd-bench.")
    # Where uploads wait, which is a disk as the daemon is installed.
    disk = f"{os.path.dirname(os.path.abspath(output))}/disk"
    os.makedirs(disk, exist_ok=True)
    os.chmod(disk, 0o1777)
    node, tracker = None, os.environ.get("MOGILEFS_TRACKER")
    made = bench = None
    try:
        if not tracker:
            node, tracker = own_node(binaries, place)
        else:
            own = Tracker(tracker)
            own.ask("create_domain", domain=DOMAIN)
            made = own
            make_class(made)
        bench = Bench(binaries, place, tracker, node is not None)
        bench.start(binaries, tracker, disk)
        found = bench.run()
        kind = "the test node, with its files in memory," if node else "a real tracker"
        with open(output, "w") as file:
            json.dump({"cluster": kind, "congestion": congestion(), "disk": file_system(disk), "cases": found,
                       "failed": FAILED}, file, indent=1)
    finally:
        for ours in bench.ours.values() if bench else ():
            ours.stop()
        if node:
            node.terminate()
            node.wait()
        elif made:
            tidy(made)
        time.sleep(0.5)
        shutil.rmtree(place, ignore_errors=True)


def make_class(tracker):
    """A class that all processes of the tracker know."""
    tracker.ask("create_class", domain=DOMAIN, mindevcount=1, **{"class": "photos"})
    known, deadline = 0, time.monotonic() + 30
    while known < 50 and time.monotonic() < deadline:
        domains = tracker.ask("get_domains").values()
        known = known + 1 if {DOMAIN, "photos"} <= set(domains) else 0
        time.sleep(0.02)


def tidy(tracker):
    """Leaves a real tracker as it was."""
    while True:
        try:
            page = tracker.ask("list_keys", domain=DOMAIN, prefix="", after="", limit=1000)
        except RuntimeError:
            break
        for number in range(1, int(page["key_count"]) + 1):
            tracker.ask("delete", domain=DOMAIN, key=unquote(page[f"key_{number}"]))
    for command, fields in (("delete_class", {"class": "photos"}), ("delete_domain", {})):
        try:
            tracker.ask(command, domain=DOMAIN, **fields)
        except RuntimeError as why:
            told(str(why))


if __name__ == "__main__":
    main(*sys.argv[1:3])
