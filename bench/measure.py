"""What all measurements share: rounds, the load program, and the cost of processes."""

import os
import subprocess
import sys
import time


def told(text):
    print(text, file=sys.stderr, flush=True)


def chosen(cases):
    """The cases that CASES names, or all."""
    wanted = os.environ.get("CASES", "").split()
    return [case for case in cases if not wanted or case in wanted]


def rounds(case, servers, run, most=None):
    """All servers in turn, and the other way round next time: {name: {figure: [values]}}."""
    found, dead = {}, set()
    count = int(os.environ.get("ROUNDS", "7"))
    for number in range(min(count, most or count)):
        for server in servers if number % 2 == 0 else servers[::-1]:
            if server.name in dead:
                continue
            try:
                figures = run(server)
            except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as why:
                told(f"  {server.name} does not do {case}: {str(why)[:200]}")
                dead.add(server.name)
                found.pop(server.name, None)
                continue
            of_server = found.setdefault(server.name, {})
            for name, value in figures.items():
                of_server.setdefault(name, []).append(value)
    return found


class Load:
    """The load program: gives its figures."""

    def __init__(self, binaries, password):
        self.program, self.password = f"{binaries}/ftpload", password

    def __call__(self, server, user, *words):
        command = [self.program, "127.0.0.1", server.port, user, self.password, server.pid, *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        pairs = (word.split("=") for word in done.stdout.split())
        return {name: float(value) for name, value in pairs}


def tree(root):
    """The processes below `root`, and it."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parents[int(name)] = int(file.read().rpartition(") ")[2].split()[1])
            except OSError:
                pass
    found, size = {root}, 0
    while size < len(found):
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found


def cpu(root):
    """Seconds of the processors, of `root`, all below it, and those whom they have reaped."""
    while True:
        processes = tree(root)
        before = reaped(processes)
        total = spent(processes) + sum(before) / os.sysconf("SC_CLK_TCK")
        # Who is reaped just now would be counted twice, or not at all.
        if tree(root) == processes and reaped(processes) == before:
            return total


def reaped(processes):
    """Ticks of what each of them has reaped."""
    found = []
    for pid in processes:
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(") ")[2].split()
            found.append(int(fields[13]) + int(fields[14]))
        except OSError:
            found.append(0)
    return found


def spent(processes):
    total = 0.0
    for pid in processes:
        try:
            with open(f"/proc/{pid}/schedstat") as file:
                total += int(file.read().split()[0]) / 1e9
        except OSError:
            pass
    return total


def memory(root):
    """Kilobytes of `root` and all below it."""
    total = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            pass
    return total


def timed(work):
    """Milliseconds."""
    begun = time.monotonic()
    work()
    return (time.monotonic() - begun) * 1000
