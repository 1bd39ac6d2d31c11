"""What all measurements share: rounds, the load program, and the cost of processes."""

import mmap
import os
import subprocess
import sys
import time


def congestion():
    """How the kernel decides how fast to send."""
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
        return file.read().strip()


def file_system(path):
    """What kind `path` lies on."""
    command = ["findmnt", "-n", "-o", "FSTYPE", "-T", path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def told(text):
    print(text, file=sys.stderr, flush=True)


def chosen(cases):
    """The cases that CASES names, or all."""
    wanted = os.environ.get("CASES", "").split()
    return [case for case in cases if not wanted or case in wanted]


# Who did not do a case, and why: {case: {name: text}}.
FAILED = {}


def fail(case, name, why):
    text = " ".join(str(why).split())[:200]
    told(f"  {name} does not do {case}: {text}")
    FAILED.setdefault(case, {})[name] = text


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
                fail(case, server.name, why)
                dead.add(server.name)
                found.pop(server.name, None)
                continue
            of_server = found.setdefault(server.name, {})
            for name, value in figures.items():
                of_server.setdefault(name, []).append(value)
    return found


def clear_the_way():
    """What was written before is on its way to the disk otherwise; and the host of a virtual machine takes
    memory that is free for a while: whoever needs it next, as new files do, would pay for getting it back."""
    os.sync()
    with mmap.mmap(-1, 768 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as room:
        # In large pieces, as file systems take it.
        room.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, len(room), mmap.PAGESIZE):
            room[at] = 1


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


def parents():
    """{process: parent} of all."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    found[int(name)] = int(file.read().rpartition(") ")[2].split()[1])
            except OSError:
                pass
    return found


def tree(root):
    """The processes below `root`, and it."""
    every, found, size = parents(), {root}, 0
    while size < len(found):
        size = len(found)
        found |= {pid for pid, parent in every.items() if parent in found}
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


def cost(root, work):
    """What `work` gives, and what `root` and all below it spend on it. Processes that lose their parent
    meanwhile count: the first process of a private root becomes it, and that is this one."""
    others, before = orphans(), cpu(root)
    result = work()
    # The last of them end after the client.
    time.sleep(0.2)
    left = orphans() - others
    return result, cpu(root) - before + spent(left) + sum(reaped(left)) / os.sysconf("SC_CLK_TCK")


def orphans():
    own = os.getpid()
    return {pid for pid, parent in parents().items() if parent == own}


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
    """Seconds, of all threads, also of those that have ended."""
    total = 0.0
    for pid in processes:
        try:
            # The clock of a process: see clock_getcpuclockid(3).
            total += time.clock_gettime(~pid << 3 | 2)
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
