"""Curves over time as a plain SVG."""

from html import escape

WIDTH, PANEL, LEFT, RIGHT, GAP = 960, 150, 70, 170, 38
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e5ea2", "#d68910", "#555555")


def nice(value):
    """A round number that is not below it."""
    unit = 1.0
    while unit * 10 <= value:
        unit *= 10
    while unit > value > 0:
        unit /= 10
    return next(step * unit for step in (1, 2, 5, 10) if step * unit >= value) if value > 0 else 1


def panel(title, times, curves, top, marks):
    highest = nice(max((value for values in curves.values() for value in values), default=1))
    span = max(times[-1] - times[0], 1e-9)

    def x(time):
        return LEFT + (time - times[0]) / span * (WIDTH - LEFT - RIGHT)

    def y(value):
        return top + PANEL * (1 - value / highest)

    yield f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{escape(title)}</text>'
    for colour, moments in marks:
        for moment in moments:
            yield (f'<line x1="{x(moment):.1f}" x2="{x(moment):.1f}" y1="{top}" y2="{top + PANEL}" stroke="{colour}" '
                   'stroke-width="0.6"/>')
    for share in (0, 0.5, 1):
        at = y(highest * share)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ccc"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{highest * share:g}</text>'
    for i, (name, values) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        points = " ".join(f"{x(time):.1f},{y(value):.1f}" for time, value in zip(times, values))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        yield f'<text x="{WIDTH - RIGHT + 10}" y="{top + 14 + 16 * i}" fill="{colour}">{escape(name)}</text>'


def plot(title, minutes, panels, marks):
    """panels: {title: {name: values}}, all as long as `minutes`; marks: (colour, moments) drawn into all of them."""
    lines, top = [], 60
    for name, curves in panels.items():
        lines += panel(name, minutes, curves, top, marks)
        top += PANEL + GAP
    for share in range(5):
        at = LEFT + share / 4 * (WIDTH - LEFT - RIGHT)
        minute = minutes[0] + (minutes[-1] - minutes[0]) * share / 4
        lines.append(f'<text x="{at:.0f}" y="{top - GAP + 16}" text-anchor="middle">{minute:.3g} min</text>')
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{top}" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="14" font-weight="bold">{escape(title)}</text>', *lines, "</svg>\n"])
