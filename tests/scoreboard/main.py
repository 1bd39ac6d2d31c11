"""Plays every case on every server, and says what came of it.

usage: main.py address                   one server: ADDRESS, USER, PASSWORD, DIRECTORY of the environment
       main.py ours BINARIES             both modules of the daemon, on this machine as it is
       main.py all BINARIES PEERS DOCS   beside others, as root in a private root; writes DOCS
environment: ONLY='959 TLS' plays the cases whose section or demand has one of the words
"""

import os
import ssl
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/../../bench"]

import attacks  # noqa: E402
import report  # noqa: E402
from cases import clients, later, rfc3659, rfc959, tls  # noqa: E402
from session import Server, shown  # noqa: E402
from steps import Differs, NotOffered, Scene, Stage  # noqa: E402

TABLES = (rfc959, tls, later, rfc3659, clients)
PASS, DIFFERS, ABSENT = "✓", "✗", "–"


def verdict(stage, case):
    """A sign, and what the server did instead."""
    scene = None
    try:
        scene = Scene(stage, case.state)
        for step in case.steps:
            step(scene)
        return PASS, ""
    except NotOffered:
        return ABSENT, ""
    except Differs as why:
        return DIFFERS, str(why)
    except TimeoutError:
        return DIFFERS, "no answer"
    except (EOFError, ConnectionError) as why:
        return DIFFERS, f"the connection ends ({shown(str(why), 60)})"
    except ssl.SSLError as why:
        return DIFFERS, f"TLS: {why.reason}"
    except Exception as why:  # a reply that a case did not foresee
        return DIFFERS, f"{type(why).__name__}: {shown(str(why), 60)}"
    finally:
        if scene:
            scene.close()


def chosen(title, case):
    only = os.environ.get("ONLY", "").split()
    return not only or any(word in f"{title} {case.section} {case.demand}" for word in only)


def play(servers):
    """{title: [(case, {server: (sign, note)})]}; servers at the same time, cases one after the other."""
    found = [(table.TITLE, [(case, {}) for case in table.CASES if chosen(table.TITLE, case)]) for table in TABLES]

    def all_of(server):
        stage = Stage(server)
        try:
            stage.enter()
            for title, rows in found:
                begun = time.time()
                for case, cells in rows:
                    cells[server.name] = verdict(stage, case)
                    if os.environ.get("SLOW") and time.time() - begun > 4:
                        print(f"{server.name}: {case.demand}: {time.time() - begun:.0f} s", cells[server.name],
                              file=sys.stderr, flush=True)
                        begun = time.time()
        finally:
            stage.clear()
    threads = [threading.Thread(target=all_of, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def known():
    """Where the daemon differs on purpose: `module | demand | reason`."""
    with open(f"{HERE}/known.txt", encoding="utf-8") as lines:
        rows = [line.strip().split(" | ") for line in lines if line.strip() and not line.startswith("#")]
    return {(module, demand): reason for module, demand, reason in rows}


def judged(found, names):
    """Prints where one of `names` differs; whether all that was known."""
    reasons, good, used = known(), True, set()
    for title, rows in found:
        for case, cells in rows:
            for name in names:
                sign, note = cells.get(name, (ABSENT, ""))
                if sign != DIFFERS:
                    continue
                reason = reasons.get((name, case.demand))
                used.add((name, case.demand))
                good &= reason is not None
                print(f"{'known' if reason else 'DIFFERS'}: {name}: {case.section} {case.demand}: {note}")
    if not os.environ.get("ONLY"):
        for name, demand in reasons.keys() - used:
            if name in names:
                good = False
                print(f"known.txt tells of a difference that is none: {name}: {demand}")
    return good


def counted(found, name):
    signs = [cells[name][0] for _, rows in found for _, cells in rows if name in cells]
    return f"{name}: {signs.count(PASS)} ✓, {signs.count(ABSENT)} –, {signs.count(DIFFERS)} ✗"


def main(how, *words):
    if how == "address":
        host, _, port = os.environ["ADDRESS"].rpartition(":")
        server = Server("it", host.strip("[]"), port, os.environ["USER"], os.environ["PASSWORD"],
                        os.environ.get("DIRECTORY", ""))
        found = play([server])
        for title, rows in found:
            if rows:
                print(f"\n{title}")
            for case, cells in rows:
                sign, note = cells["it"]
                print(f"  {sign} {case.section:12} {case.demand}" + (f"\n      {note}" if note else ""))
        print("\n" + counted(found, "it"))
        return 0
    import peers
    with peers.Company(words[0], words[1] if how == "all" else None) as company:
        ours, writes = [server.name for server in company.ours], how == "all" and not os.environ.get("ONLY")
        found = play(company.servers)
        for server in company.servers:
            print(counted(found, server.name), flush=True)
        good = judged(found, ours)
        if writes:
            report.conformance(words[2], company.servers, ours, found, known())
        # What is attacked is the same with either module.
        attacked = [server for server in company.servers if server is not company.ours[1]]
        outcome = attacks.play(attacked if how == "all" else attacked[:1])
        good &= attacks.judged(outcome, ours)
        if writes:
            report.attacks(words[2], attacked, outcome)
        return 0 if good else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
