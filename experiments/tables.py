"""The league table and the paired differences of a run as CSV and as LaTeX for a paper.

The LaTeX needs the package booktabs and nothing else; every name is escaped.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from echelon.experiments.canvas import slug
from echelon.experiments.findings import reference_name, replications, verdict, with_half_width
from echelon.experiments.run_folder import PolicyResult, Result, Run
from echelon.experiments.whole_folder import whole_file

LEAGUE = [
    *("policy", "kind", "cost", "cost_half_width", "gap_percent", "gap_half_width"),
    *("fill_rate", "alpha", "seconds", "verdict"),
]
DIFFERENCES = ["policy", "difference", "half_width", "verdict"]

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': "''",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "…": r"\ldots{}",
    "∞": r"$\infty$",
}

Cell = str | float | None


def write_tables(run: Run, target: Path) -> list[Path]:
    """Write both tables of every problem into a folder, each as .csv and .tex."""
    target.mkdir(exist_ok=True)
    written = []
    for number, result in enumerate(run.results, start=1):
        stem = f"{number:02d}-{slug(result.name)}"
        texts = {
            f"{stem}-league.csv": csv_text(LEAGUE, league_cells(result)),
            f"{stem}-league.tex": league_latex(result),
            f"{stem}-differences.csv": csv_text(DIFFERENCES, difference_cells(result)),
            f"{stem}-differences.tex": differences_latex(result),
        }
        for name, text in texts.items():
            written.append(write_table(target / name, text))
    return written


def write_table(path: Path, text: str) -> Path:
    """Write a table in one step: a reader sees the old one or the new one, never a part."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="")
    return path


def league_cells(result: Result) -> list[list[Cell]]:
    """The rows of the league table in full precision, cheapest first."""
    return [
        [
            *(p.name, p.kind, p.mean, p.half_width, p.gap, p.gap_half_width),
            *(p.fill_rate, p.alpha, p.seconds, verdict(result, p)),
        ]
        for p in result.policies
    ]


def difference_cells(result: Result) -> list[list[Cell]]:
    """The paired differences to the best policy with their joint intervals, smallest first; without the best one."""
    others = [policy for policy in result.policies if policy is not result.best]
    return [[p.name, p.difference, p.difference_half_width, p.verdict] for p in others]


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table as CSV; what is not known is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    return text.getvalue()


def league_latex(result: Result) -> str:
    """The league table as it stands in the report."""
    gap = [] if result.reference is None else ["Gap (%)"]
    cost = "Discounted cost" if result.discounted else "Cost per period"
    body = [_league_row(result, policy) for policy in result.policies]
    level = f"{100 * result.confidence:g} %"
    caption = (
        f"{result.name}: cost with {level} confidence intervals over {replications(result)}"
        f"{'; gap to ' + reference_name(result) if gap else ''}."
    )
    columns = ["Policy", cost, *gap, "Fill rate (%)", "Verdict"]
    return latex(caption, columns, body, label=f"league-{slug(result.name)}")


def _league_row(result: Result, policy: PolicyResult) -> list[str]:
    gap = [] if result.reference is None else ["" if policy.gap is None else _spread(policy.gap, policy.gap_half_width)]
    service = "" if policy.fill_rate is None else f"{100 * policy.fill_rate:.2f}"
    return [policy.name, _spread(policy.mean, policy.half_width), *gap, service, verdict(result, policy)]


def differences_latex(result: Result) -> str:
    """The paired differences as they stand in the report."""
    others = [policy for policy in result.policies if policy is not result.best]
    body = [
        [p.name, "" if p.difference is None else _spread(p.difference, p.difference_half_width), p.verdict]
        for p in others
    ]
    caption = (
        f"{result.name}: cost above that of {result.best.name} on the same scenarios. The intervals hold together at "
        f"{100 * result.confidence:g} % (Bonferroni), verdicts are by Holm's method."
    )
    return latex(caption, ["Policy", "Difference", "Verdict"], body, label=f"differences-{slug(result.name)}")


def latex(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, label: str) -> str:
    """A table with the rules of booktabs: words to the left in the first and the last column, numbers to the right."""
    lines = [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(caption)}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(columns) - 2)}l}}",
            r"\toprule",
            " & ".join(map(escaped, columns)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Text in which nothing is a command."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def _spread(value: float, half_width: float | None) -> str:
    return with_half_width(value, half_width)
