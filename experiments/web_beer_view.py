"""What a beer game looks like: its markup and its charts, from a `Course` or a `Reveal` alone."""

from __future__ import annotations

from html import escape

from echelon.experiments.findings import plain
from echelon.experiments.palette import COST_COLOURS, MUTED, POLICY_COLOURS
from echelon.experiments.web_beer_game import STAGES, Course, Floats, Setup
from echelon.experiments.web_beer_reveal import PERSON, Reveal, Score
from echelon.experiments.web_charts import STAGE_COLOURS, Axis, Line, Options, bar_chart, column_chart, line_chart

SUPPLIERS = dict(zip(STAGES, ("brewery", *STAGES[:-1]), strict=True))
RECEIVERS = dict(zip(STAGES, (*STAGES[1:], "customers"), strict=True))


def chain(stage: str) -> str:
    """The four stages in a row, the person's marked."""
    boxes = "".join(
        f'<li class="{"mine" if name == stage else ""}">{name.capitalize()}'
        f"<small>{'you' if name == stage else 'a rule'}</small></li>"
        for name in STAGES
    )
    return f'<ol class="chain" aria-label="The chain, from the factory to the customers">{boxes}<li>Customers</li></ol>'


def desk(setup: Setup, game: Course) -> str:
    """What the person knows at the start of the week."""
    n, state = setup.link, game.review
    owed = float(state.backorders[0, 0] if n == len(STAGES) - 1 else state.owed[0, n + 1])
    next_week, after = (float(units) for units in state.pipeline[0, n, :2])
    waiting = float(state.on_order[0, n]) - next_week - after
    asked = plain(float(game.incoming[-1, n]), 0) if game.weeks else "none"
    tiles = [
        ("In stock", plain(float(state.on_hand[0, n]), 0), f"{plain(float(game.arrived[n]), 0)} came in this week", ""),
        ("You owe", plain(owed, 0), f"to the {RECEIVERS[setup.stage]}", "bad" if owed else ""),
        ("Asked of you", asked, "last week", ""),
        ("On the way to you", f"{plain(next_week, 0)} + {plain(after, 0)}", "next week + the week after", ""),
        ("Not sent yet", plain(waiting, 0), "of what you ordered", ""),
        ("Cost so far", plain(game.cost, 1), "of the whole chain", ""),
    ]
    return '<dl class="tiles">' + "".join(_tile(*tile) for tile in tiles) + "</dl>"


def progress(setup: Setup, game: Course) -> str:
    """Which week it is."""
    return (
        f'<p class="week"><b>Week {game.weeks + 1}</b> of {setup.weeks}</p>'
        f'<div class="track" aria-hidden="true"><i style="width:{100 * game.weeks / setup.weeks:.1f}%"></i></div>'
    )


def own_chart(setup: Setup, game: Course) -> Options:
    """The person's own orders, and what was asked of them, and the net stock."""
    n, colour = setup.link, STAGE_COLOURS[setup.stage]
    lines = [
        Line("your orders", _weekly(game.ordered[:, n]), colour, steps=True, wide=True),
        Line("asked of you", _weekly(game.incoming[:, n]), MUTED, steps=True, dashed=True),
        Line("your stock, less what you owe", _weekly(game.net_stock[:, n]), POLICY_COLOURS[4]),
    ]
    says = f"Cases a week at the {setup.stage}: orders, what was asked, and net stock, over {game.weeks} weeks."
    weeks = Axis("week", 1, setup.weeks)
    return line_chart(lines, x=weeks, y=Axis("cases", None if game.weeks else 0), says=says)


def own_table(setup: Setup, game: Course) -> str:
    """The person's weeks as a table, the last one first."""
    n = setup.link
    tables = (game.received, game.incoming, game.ordered, game.net_stock)
    rows = "".join(
        f"<tr><td>{t + 1}</td>{''.join(f'<td>{plain(float(table[t, n]), 0)}</td>' for table in tables)}</tr>"
        for t in reversed(range(game.weeks))
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Week", "Came in", "Asked", "Ordered", "Net stock"))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<details><summary>Your weeks as a table</summary>{table}</details>"


def verdict(setup: Setup, outcome: Reveal) -> str:
    """The reveal in one sentence."""
    cost, best = outcome.person.course.cost, outcome.optimum
    if cost <= best:
        compared = f"no more than the optimal policy, which paid {plain(best, 1)}: well played, and with some luck"
    else:
        compared = f"{plain(outcome.person.above or 0, 0)} % more than the optimal policy, which paid {plain(best, 1)}"
    return f"With you as the {setup.stage} the chain paid {plain(cost, 1)} in {setup.weeks} weeks: {compared}."


def league(outcome: Reveal) -> str:
    """All lines of the reveal as a table, the cheapest first."""
    ranked = sorted(outcome.scores, key=lambda score: score.course.cost)
    columns = ("Who", "Cost", "Stock", "Waiting", "Above optimal", "Bullwhip, factory to retailer")
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    labels = ("Cost", "Stock", "Waiting", "Above optimal", "Bullwhip")
    body = "".join(_league_row(score, labels) for score in ranked)
    floor = (
        f'<tr class="floor"><td>With hindsight</td><td data-label="Cost">{plain(outcome.hindsight, 1)}</td>'
        f'<td colspan="{len(columns) - 2}" class="remark">{FLOOR}</td></tr>'
    )
    return f'<table class="scores"><thead><tr>{head}</tr></thead><tbody>{body}{floor}</tbody></table>'


def cost_chart(outcome: Reveal) -> Options:
    """What each line paid for stock and for customers who waited."""
    ranked = sorted(outcome.scores, key=lambda score: score.course.cost)
    bars = {
        "stock": [float(score.course.holding.sum()) for score in ranked],
        "customers who wait": [float(score.course.stockout.sum()) for score in ranked],
    }
    says = "Cost of the chain: " + ", ".join(f"{score.name} {plain(score.course.cost, 1)}" for score in ranked) + "."
    colours = (COST_COLOURS["holding"], COST_COLOURS["stockout"])
    return bar_chart(bars, [score.name for score in ranked], value=Axis("cost", 0), colours=colours, says=says)


def bullwhip_chart(outcome: Reveal) -> Options:
    """The bullwhip of each stage, from the customers upward: the person's chain beside three rules."""
    upward = STAGES[::-1]
    shown = [score for score in outcome.scores if None not in score.bullwhip]
    bars = {score.name: [value or 0.0 for value in score.bullwhip[::-1]] for score in shown}
    says = "Variance of orders over variance of customers' demand, by stage. " + "; ".join(
        f"{name}: {', '.join(f'{stage} {value:.1f}' for stage, value in zip(upward, values, strict=True))}"
        for name, values in bars.items()
    )
    names = [stage.capitalize() for stage in upward]
    value = Axis("variance of orders / of demand", 0)
    return column_chart(bars, names, value=value, colours=POLICY_COLOURS, says=says)


def stage_chart(game: Course, *, stock: bool) -> Options:
    """Orders, or net stock, of all four stages over the weeks, with the customers' demand beside the orders."""
    table = game.net_stock if stock else game.ordered
    lines = [Line(name, _weekly(table[:, n]), STAGE_COLOURS[name], steps=not stock) for n, name in enumerate(STAGES)]
    if not stock:
        lines.append(Line("customers' demand", _weekly(game.incoming[:, -1]), MUTED, dashed=True, steps=True))
    what = "Net stock" if stock else "Orders"
    says = f"{what} by stage and week, in cases. " + "; ".join(
        f"{name} from {table[:, n].min():g} to {table[:, n].max():g}" for n, name in enumerate(STAGES)
    )
    return line_chart(lines, x=Axis("week", 1, game.weeks), y=Axis("cases", None if stock else 0), says=says)


FLOOR = "Knowing all demand beforehand. No orders can cost less."
HOARD = (
    " Its retailer starts with one big order: where a case costs the same at every stage, it is best kept beside the "
    "customers."
)


def lesson(setup: Setup, outcome: Reveal) -> str:
    """What the numbers of this game teach."""
    whip = outcome.person.bullwhip
    if whip[0] is None or whip[3] is None:
        return "The customers' demand did not vary, and so there is no bullwhip to tell of."
    above = f"{whip[0] / whip[3]:.1f} times as much as the retailer's" if whip[3] else "while the retailer's did not"
    return (
        f"In your chain the factory's orders varied {whip[0]:.1f} times as much as the customers' demand, {above}. "
        f"The optimal policy looks at the stock of the whole chain and counts all that is on order; people tend to "
        f"order again what is already on its way.{HOARD if setup.costs == 'board' else ''}"
    )


def _weekly(values: Floats) -> list[tuple[float, float]]:
    return [(week, float(value)) for week, value in enumerate(values, start=1)]


def _tile(name: str, value: str, note: str, kind: str) -> str:
    return f'<div class="{kind}"><dt>{name}</dt><dd><b>{value}</b><small>{note}</small></dd></div>'


def _league_row(score: Score, columns: tuple[str, ...]) -> str:
    above = "" if score.above is None else f"{plain(score.above, 0)} %"
    whips = " · ".join("none" if value is None else f"{value:.1f}" for value in score.bullwhip)
    money = [score.course.cost, float(score.course.holding.sum()), float(score.course.stockout.sum())]
    cells = [*(plain(amount, 1) for amount in money), above, whips]
    name = escape(score.name) + (f"<small>{escape(score.note)}</small>" if score.note else "")
    body = "".join(f'<td data-label="{label}">{cell}</td>' for label, cell in zip(columns, cells, strict=True))
    return f'<tr class="{"mine" if score.name == PERSON else ""}"><td>{name}</td>{body}</tr>'
