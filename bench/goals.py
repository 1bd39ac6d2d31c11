"""What nanoftpd is to reach, in ratios of one run: ours to the best of those beside it."""

import statistics


class Goal:
    """`figure` of `case`, `ours` against the best of `beside` (`None`: all others): at least, or at most,
    `wanted` times as much."""

    def __init__(self, text, case, figure, wanted, more=True, ours="nanoftpd", beside=None):
        self.text, self.case, self.figure, self.wanted, self.more = text, case, figure, wanted, more
        self.ours, self.beside = ours, beside

    def judge(self, cases):
        found = cases.get(self.case, {})
        own = found.get(self.ours, {}).get(self.figure)
        # A server that was not measured, or whose figure is nothing, is none to compare with.
        others = {name: figures[self.figure] for name, figures in found.items()
                  if statistics.median(figures.get(self.figure) or [0]) and not name.startswith("nanoftpd")
                  and (self.beside is None or name in self.beside)}
        if not own or not others:
            return None
        best = (max if self.more else min)
        name = best(others, key=lambda name: statistics.median(others[name]))
        other = statistics.median(others[name])
        ratio = statistics.median(own) / other
        is_met = self.holds(ratio)
        # Within the spread: our better rounds against its worse ones.
        luck = quartile(own, self.more) / quartile(others[name], not self.more)
        verdict = "met" if is_met else "met, within the spread" if self.holds(luck) else "**not met**"
        sign = "≥" if self.more else "≤"
        return [self.text, short(statistics.median(own)), f"{short(other)} ({name})", f"{ratio:.2f}",
                f"{sign} {self.wanted:.2f}", verdict]

    def holds(self, ratio):
        return ratio >= self.wanted if self.more else ratio <= self.wanted


class Bound(Goal):
    """`figure` at most `wanted`, plus that of `beside`, if any."""

    def judge(self, cases):
        found = cases.get(self.case, {})
        own = found.get(self.ours, {}).get(self.figure)
        if not own:
            return None
        other = 0
        if self.beside:
            other = statistics.median(found.get(self.beside[0], {}).get(self.figure) or [0])
        most = self.wanted + other
        value = statistics.median(own)
        verdict = "met" if value <= most else \
            "met, within the spread" if quartile(own, False) <= most else "**not met**"
        return [self.text, short(value), short(other) if self.beside else "", "", f"≤ {short(most)}", verdict]


def quartile(values, upper):
    if len(values) < 3:
        return max(values) if upper else min(values)
    return statistics.quantiles(values, n=4)[2 if upper else 0]


def short(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


FORKING = ("vsftpd", "pure-ftpd", "proftpd")
HUNDRED = "nanoftpd, 100 sessions a worker"
STRAIGHT = ("straight",)

GOALS = [
    Goal("logins per s, 8 clients, MD5, beside pyftpdlib", "login8", "per_s", 1.0, beside=("pyftpdlib",)),
    Goal("the same with 100 sessions a worker, beside two workers of pyftpdlib", "login8", "per_s", 2.0,
         ours=HUNDRED, beside=("pyftpdlib, 2 workers",)),
    Goal("logins per s, 8 clients, SHA-512 crypt", "login8-sha512", "per_s", 1.5, ours="nanoftpd, SHA-512",
         beside=FORKING),
    Goal("RETR, CPU s per GB", "retr", "cpu_s_per_gb", 1.1, more=False),
    Goal("STOR into memory, CPU s per GB", "stor", "cpu_s_per_gb", 0.8, more=False),
    Goal("STOR onto a disk, CPU s per GB", "stor-disk", "cpu_s_per_gb", 0.8, more=False),
    Goal("RETR under TLS, CPU s per GB", "tls-retr", "cpu_s_per_gb", 1.0, more=False, ours="nanoftpd, TLS"),
    Goal("STOR under TLS, CPU s per GB", "tls-stor", "cpu_s_per_gb", 1.0, more=False, ours="nanoftpd, TLS"),
    Goal("4 KiB files: STOR per s", "small", "stor_per_s", 1.2),
    Goal("4 KiB files: RETR per s", "small", "retr_per_s", 1.2),
    Goal("4 KiB files: DELE per s", "small", "dele_per_s", 1.2),
    Goal("LIST, lines per s", "list", "lines_per_s", 1.2),
    Goal("MLSD, lines per s", "mlsd", "lines_per_s", 1.2),
    Goal("NLST, lines per s", "nlst", "lines_per_s", 1.2),
    Bound("PSS of a session, KiB", "crowd", "pss_kb", 64),
    Goal("300 sessions open, s", "crowd", "open_s", 0.1, more=False, beside=("vsftpd",)),
    Goal("p99 of a command, 64 mixed sessions, ms", "latency", "p99_ms", 1.0, more=False, beside=FORKING),
    Goal("MogileFS: RETR, MB/s", "mogile-retr", "mb_per_s", 0.9, ours="nanoftpd, spool", beside=STRAIGHT),
    Goal("MogileFS: STOR as tee, MB/s", "mogile-stor", "mb_per_s", 0.8, ours="nanoftpd, tee", beside=STRAIGHT),
    Goal("MogileFS: STOR as spool, MB/s", "mogile-stor", "mb_per_s", 0.45, ours="nanoftpd, spool",
         beside=STRAIGHT),
    Bound("MogileFS: last byte to 226 as tee, ms: 5 and the closing", "mogile-last", "last_ms", 5,
          ours="nanoftpd, tee", beside=STRAIGHT),
    Bound("MogileFS: CPU ms per STOR of 4 KiB", "mogile-small", "stor_cpu_ms", 0.5, ours="nanoftpd, spool"),
    Bound("MogileFS: CPU ms per RETR of 4 KiB", "mogile-small", "retr_cpu_ms", 0.5, ours="nanoftpd, spool"),
    Goal("MogileFS: LIST of 1,000 keys with sizes, ms", "mogile-list-1000", "ms", 3.0, more=False,
         ours="nanoftpd, spool", beside=STRAIGHT),
]
