"""Bars as SVG."""

import statistics
from html import escape

from goals import GOALS, Bound

COLOURS = {"nanoftpd": "#1b6ca8", "vsftpd": "#b0b0b0", "pure-ftpd": "#8f8f8f", "proftpd": "#6f6f6f",
           "pyftpdlib": "#c9c9c9", "unftp": "#a0a0a0"}
LINE, LEFT, WIDTH = 22, 330, 420


def draw(docs, cases):
    """Draws what there is; the name and title of each."""
    drawn = []
    for name, title, bars, mark in (
        ("bench-ratio.svg", "How many times as good as the best beside it (1 is as good)", ratios(cases), 1),
        ("bench-cpu.svg", "Processor seconds per GB (less is better)", costs(cases), None),
        ("bench-memory.svg", "PSS of an idle session in KiB (less is better)", sizes(cases), 64),
    ):
        if bars:
            with open(f"{docs}/{name}", "w") as file:
                file.write(svg(title, bars, mark))
            drawn.append((name, title))
    return drawn


def ratios(cases):
    bars = []
    for goal in GOALS:
        row = None if isinstance(goal, Bound) else goal.judge(cases)
        if row:
            ratio = float(row[3])
            good = ratio if goal.more else 1 / ratio if ratio else 0
            bars.append((goal.text, good, "nanoftpd"))
    return bars


def costs(cases):
    names = {"retr": "RETR", "stor": "STOR", "stor-disk": "STOR, disk", "tls-retr": "RETR, TLS",
             "tls-stor": "STOR, TLS"}
    return [(f"{names[case]}: {server}", statistics.median(figures["cpu_s_per_gb"]), server.split(",")[0])
            for case in names for server, figures in cases.get(case, {}).items()
            if "cpu_s_per_gb" in figures and not server.endswith("workers")]


def sizes(cases):
    return [(server, statistics.median(figures["pss_kb"]), server.split(",")[0])
            for server, figures in cases.get("crowd", {}).items() if "pss_kb" in figures]


def svg(title, bars, mark):
    largest = max([value for _, value, _ in bars] + [mark or 0]) or 1
    height = LINE * (len(bars) + 2)
    text = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 80}" height="{height}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="100%" height="100%" fill="#ffffff"/>',
            f'<text x="8" y="16" font-weight="bold">{escape(title)}</text>']
    for index, (label, value, kind) in enumerate(bars):
        top = LINE * (index + 1) + 6
        wide = max(1, WIDTH * max(value, 0) / largest)
        text += [f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(short(label))}</text>',
                 f'<rect x="{LEFT}" y="{top}" width="{wide:.1f}" height="{LINE - 6}" '
                 f'fill="{COLOURS.get(kind, "#999999")}"/>',
                 f'<text x="{LEFT + wide + 6:.1f}" y="{top + 13}">{value:.3g}</text>']
    if mark:
        at = LEFT + WIDTH * mark / largest
        text.append(f'<line x1="{at:.1f}" y1="{LINE}" x2="{at:.1f}" y2="{height - 8}" stroke="#c0392b"/>')
    return "\n".join(text + ["</svg>"]) + "\n"


def short(label):
    return label if len(label) < 56 else label[:53] + "…"
