#!/usr/bin/env python3
"""Writes what a processor and a GiB bear into docs/scaling.md, from the figures in docs/bench.md.

usage: scaling.py DOCS
"""

import re
import sys

MARKS = ("<!-- figures -->", "<!-- end of figures -->")
# What, the table and the row of bench.md, its column, how the figure becomes the answer, digits, unit.
LINES = (
    ("sessions of an idle client", "300 sessions that stay", "nanoftpd", "PSS KiB each",
     lambda kib: 1048576 / kib, 0, "per GiB"),
    ("logins, MD5, a process for each", "login and QUIT, 8 clients, MD5", "nanoftpd", "CPU ms each",
     lambda ms: 1000 / ms, 0, "a second"),
    ("the same, `sessions_per_worker = 100`", "login and QUIT, 8 clients, MD5", "nanoftpd, 100 sessions a worker",
     "CPU ms each", lambda ms: 1000 / ms, 0, "a second"),
    ("logins, SHA-512 crypt", "login and QUIT, 8 clients, SHA-512 crypt", "nanoftpd, SHA-512", "CPU ms each",
     lambda ms: 1000 / ms, 0, "a second"),
    ("RETR, module File", "RETR of 256 MiB", "nanoftpd", "CPU s per GB", lambda s: 1000 / s, 0, "MB a second"),
    ("STOR, module File", "STOR of 256 MiB onto a disk", "nanoftpd", "CPU s per GB", lambda s: 1000 / s, 0,
     "MB a second"),
    ("RETR under TLS", "RETR of 256 MiB under TLS", "nanoftpd, TLS", "CPU s per GB", lambda s: 1000 / s, 0,
     "MB a second"),
    ("STOR under TLS", "STOR of 256 MiB under TLS", "nanoftpd, TLS", "CPU s per GB", lambda s: 1000 / s, 0,
     "MB a second"),
    ("RETR from MogileFS", "MogileFS: RETR of 256 MiB; beside: curl from the node", "nanoftpd, spool",
     "CPU s per GB", lambda s: 1000 / s, 0, "MB a second"),
    ("STOR to MogileFS", "MogileFS: STOR of 256 MiB; beside: curl to the node", "nanoftpd, tee", "CPU s per GB",
     lambda s: 1000 / s, 0, "MB a second"),
    ("4 KiB files from MogileFS", "MogileFS: files of 4 KiB, 4 clients", "nanoftpd, spool",
     "CPU ms per RETR", lambda ms: 1000 / ms, 0, "a second"),
    ("4 KiB files to MogileFS", "MogileFS: files of 4 KiB, 4 clients", "nanoftpd, spool",
     "CPU ms per STOR", lambda ms: 1000 / ms, 0, "a second"),
    ("lines of LIST, module File", "LIST of 10,000", "nanoftpd", "CPU µs a line", lambda us: 1e6 / us, 0, "a second"),
    ("lines of LIST from MogileFS, one session", "MogileFS: LIST of 100,000 keys; beside: list_keys and list_fids alone",
     "nanoftpd, spool", "ms", lambda ms: 1e5 / ms * 1000, 0, "a second"),
)


def tables(text):
    """{title: {row: {column: figure}}}"""
    found = {}
    for part in text.split("\n### ")[1:]:
        title, *lines = part.split("\n")
        rows = [[cell.strip().strip("*") for cell in line.strip("|").split("|")]
                for line in lines if line.startswith("| ")]
        for name, *cells in rows[1:]:
            found.setdefault(title, {})[name] = dict(zip(rows[0][1:], cells))
    return found


def main(docs):
    with open(f"{docs}/bench.md", encoding="utf-8") as file:
        measured = tables(file.read())
    lines = ["| one processor does | | from |", "|---|---|---|"]
    for what, title, row, column, answer, digits, unit in LINES:
        cell = measured.get(title, {}).get(row, {}).get(column, "")
        figure = re.match(r"-?[\d,]*\.?\d+", cell)
        if figure and float(figure[0].replace(",", "")) > 0:
            value = answer(float(figure[0].replace(",", "")))
            shown = float(f"{value:.3g}")
            lines.append(f"| {what} | {shown:,.{digits}f} {unit} | {figure[0]} {column} |")
        else:
            print(f"scaling: there is no figure for {what}", file=sys.stderr)
    path = f"{docs}/scaling.md"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(MARKS[0])
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + "\n".join([MARKS[0], "", *lines, "", MARKS[1]]) + rest.split(MARKS[1])[1])


if __name__ == "__main__":
    main(sys.argv[1])
