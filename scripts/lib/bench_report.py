"""From samples to medians, ratios and a table."""

from dataclasses import dataclass
from math import comb
from statistics import median


@dataclass
class Figure:
    title: str
    unit: str
    more_is_better: bool = True
    digits: int = 0


FIGURES = {}
for count in (64, 1000):
    FIGURES[f"requests-{count}"] = Figure(f"requests/s, {count:,} keep-alive", "1/s")
    FIGURES[f"p99-{count}"] = Figure(f"p99 latency, {count:,} keep-alive", "ms", False, 2)
    FIGURES[f"cpu-{count}"] = Figure(f"gateway CPU per request, {count:,} keep-alive", "µs", False, 2)
FIGURES["connections"] = Figure("connections/s, one request each", "1/s")
FIGURES["cpu-connection"] = Figure("gateway CPU per connection", "µs", False, 1)
for direction in ("download", "upload"):
    for count in (1, 8):
        what = f"{count} bulk {direction}{'s' if count > 1 else ''}"
        FIGURES[f"{direction}-{count}"] = Figure(what, "MB/s")
        FIGURES[f"cpu-{direction}-{count}"] = Figure(f"gateway CPU, {what}", "s/GB", False, 3)
FIGURES["memory"] = Figure("memory per idle connection, of 4,000", "bytes", False)

SUBJECT, LIMIT = "sixgate", "kernel"


def _ratio(values, others):
    """The median of the rounds' ratios: what disturbs the machine for a while disturbs both sides of a ratio."""
    ratios = [value / others[number] for number, value in values.items() if others.get(number)]
    return median(ratios) if ratios else None


def _best(medians, figure):
    """The best of the peers that do the same work: not sixgate itself, and not the kernel."""
    peers = [name for name in medians if name not in (SUBJECT, LIMIT) and medians[name] is not None]
    return (max if figure.more_is_better else min)(peers, key=medians.get, default=None)


def _entry(values, middle, best, limit):
    return {"median": middle, "samples": list(values.values()),
            "to_best_peer": _ratio(values, best), "to_limit": _ratio(values, limit)}


def summarize(samples, peers):
    """samples[figure][peer][round] is a value; a figure that nobody measured is left out."""
    summary = {}
    for name, figure in FIGURES.items():
        if name not in samples:
            continue
        values = {peer: samples[name].get(peer, {}) for peer in peers}
        medians = {peer: median(found.values()) if found else None for peer, found in values.items()}
        best = _best(medians, figure)
        summary[name] = {
            "title": figure.title, "unit": figure.unit, "more_is_better": figure.more_is_better, "best_peer": best,
            "peers": {peer: _entry(values[peer], medians[peer], values.get(best, {}), values.get(LIMIT, {}))
                      for peer in peers},
        }
    return summary


def _cell(entry, figure):
    return "–" if entry["median"] is None else f"{entry['median']:,.{figure.digits}f}"


def _ratio_cell(entry, key):
    return "–" if entry[key] is None else f"{entry[key]:.2f}"


def _spread(entry):
    if len(entry["samples"]) < 2:
        return "–"
    return f"±{50 * (max(entry['samples']) - min(entry['samples'])) / entry['median']:.0f} %"


def _rows(summary, peers):
    head = ["", "unit", *peers]
    if SUBJECT in peers:
        head += ["sixgate : best peer", "sixgate : kernel", "spread of sixgate"]
    yield head
    for name, result in summary.items():
        entries, figure = result["peers"], FIGURES[name]
        row = [figure.title, figure.unit, *(_cell(entries[peer], figure) for peer in peers)]
        if SUBJECT in peers:
            subject = entries[SUBJECT]
            row += [_ratio_cell(subject, "to_best_peer"), _ratio_cell(subject, "to_limit"), _spread(subject)]
        yield row


def _render(rows):
    """Reads well both as text and as Markdown: two columns of words, then numbers."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    rule = [f":{'-' * (width - 1)}" if i < 2 else f"{'-' * (width - 1)}:" for i, width in enumerate(widths)]
    lines = (" | ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths)))
             for row in (rows[0], rule, *rows[1:]))
    return "\n".join(f"| {line} |" for line in lines)


def table(summary, peers):
    """The medians, and how sixgate stands."""
    return _render(list(_rows(summary, peers)))


def ratio_table(summary, peers):
    """Every peer as a ratio to the best peer / to the kernel."""
    rows = [["", "better", *peers]]
    for result in summary.values():
        cells = (f"{_ratio_cell(entry, 'to_best_peer')} / {_ratio_cell(entry, 'to_limit')}"
                 for entry in result["peers"].values())
        rows.append([result["title"], "more" if result["more_is_better"] else "less", *cells])
    return _render(rows)


# ---- what features cost ------------------------------------------------------------------------


def interval_of_median(values, confidence=0.95):
    """Between which two of the values the median of what they are drawn from lies; None if they are too few. Of
    n values the k lowest are all below it with a probability that only counting tells: no assumption is made of
    how they are spread."""
    values, n, outside, best = sorted(values), len(values), 0.0, None
    for k in range((n + 1) // 2):
        outside += 2 * comb(n, k) / 2 ** n
        if outside > 1 - confidence:
            break
        best = values[k], values[n - 1 - k]
    return best


def _costs(samples, figure, peer):
    """Of each round in per cent: how much more it took, or how much less was done."""
    base, sign = samples.get(SUBJECT, {}), -1 if figure.more_is_better else 1
    return [sign * 100 * (value / base[number] - 1) for number, value in samples.get(peer, {}).items()
            if base.get(number)]


def _cost_cell(costs):
    if not costs:
        return "–"
    within = interval_of_median(costs)
    return f"{median(costs):+.1f} %" + (f" ({within[0]:+.1f} to {within[1]:+.1f})" if within else "")


def cost_table(samples, summary, peers):
    """Each peer beside sixgate itself."""
    others = [peer for peer in peers if peer != SUBJECT]
    rows = [["", "unit", SUBJECT, *others]]
    for name, result in summary.items():
        figure = FIGURES[name]
        rows.append([figure.title, figure.unit, _cell(result["peers"][SUBJECT], figure),
                     *(_cost_cell(_costs(samples[name], figure, peer)) for peer in others)])
    return _render(rows)
