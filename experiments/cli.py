"""The command line. Every command imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from echelon.baselines.stage_network import StageNetwork
    from echelon.envs.network import Network

app = typer.Typer(
    help="Which replenishment policy is best on this network, by how much, and how far from optimal is it?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
importing = typer.Typer(help="Turn real data into a network file.", no_args_is_help=True)
app.add_typer(importing, name="import")

Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key; may be repeated.")]


def main() -> None:
    """Run the command line; errors of Echelon end it with exit code 2 and a plain message."""
    try:
        app()
    except Exception as error:
        from echelon.envs.errors import EchelonError

        if not isinstance(error, EchelonError):
            raise
        print(error, file=sys.stderr)
        sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        import echelon

        print(f"echelon {echelon.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


@app.command()
def problems(as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False) -> None:
    """List the catalogued problems and the published instances of them, with what is known of their best cost."""
    from echelon.experiments.catalogue_table import catalogue_records, print_catalogue

    if as_json:
        print(json.dumps(catalogue_records(), indent=1))
    else:
        print_catalogue()


@app.command()
def baselines() -> None:
    """List the baselines with their options; docs/theory says what each is for."""
    import inspect

    from echelon.baselines.option_types import in_words
    from echelon.baselines.registry import BASELINES, NOT_OPTIONS

    for name, method in BASELINES.items():
        print(f"{name}\n    {(method.__doc__ or '').splitlines()[0]}")
        for option, parameter in inspect.signature(method).parameters.items():
            if option not in NOT_OPTIONS:
                print(f"    {option} = {parameter.default!r} ({in_words(parameter.annotation)})")


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="The file to write, or to write again; default: print it")] = None,
) -> None:
    """Print the JSON Schema of a config, by which an editor completes its keys and marks mistakes."""
    from echelon.experiments.schema import config_schema

    text = json.dumps(config_schema(), indent=1)
    if out is None:
        print(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")


@app.command()
def run(
    config: Annotated[
        Path | None,
        typer.Argument(help="A YAML file, or the name of a shipped config: quickstart.yaml, consumer_goods.yaml"),
    ] = None,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; it must not exist. Default: runs/NAME-TIME")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Instead of a config: the folder of an interrupted run to go on with")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Cells that are made at the same time, one thread each")] = 1,
    executor: Annotated[str, typer.Option(help="Where cells are made: local, ray, dask or slurm")] = "local",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--executor-option",
            metavar="KEY=VALUE",
            help="ray, dask: address of a cluster; slurm: a parameter of submitit; may be repeated.",
        ),
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often a cell that has failed is tried again")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would run, and how large it is")] = False,
    report: Annotated[
        bool, typer.Option(help="Whether to make figures and pages, or leave that to echelon report")
    ] = True,
) -> None:
    """Train and evaluate all policies of a config on common scenarios; write tables, plots and a report."""
    from echelon.experiments.executors import pin_threads

    pin_threads()
    from echelon.experiments.run_command import RunRequest, run_command

    chosen = _choice("executor", executor, ("local", "ray", "dask", "slurm"))
    options = _mapping(option, "--executor-option")
    run_command(RunRequest(config, resume, overrides or [], out, workers, chosen, options, retries, dry_run, report))


@app.command()
def rerun(
    folder: Annotated[Path, typer.Argument(help="The folder of a run or a grid")],
    out: Annotated[Path | None, typer.Option(help="The new folder; default: FOLDER-rerun")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Cells that are made at the same time, one thread each")] = 1,
) -> None:
    """Run what a folder holds again, and tell which bits differ and why; exit code 0 if none do."""
    from echelon.experiments.executors import pin_threads

    pin_threads()
    from echelon.experiments.run_command import rerun_command

    rerun_command(folder, out=out, workers=workers)


@app.command()
def tune(
    config: Annotated[Path, typer.Argument(help="A YAML file, or the name of a shipped config")],
    policy: Annotated[str, typer.Option(help="The policy to tune, an agent of the config")],
    out: Annotated[
        Path, typer.Option(help="The folder of the search; one that was stopped, or runs elsewhere, is gone on with")
    ],
    problem: Annotated[str | None, typer.Option(help="Which problem of the config, if several have the policy")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, over all processes that share the folder")] = 20,
    overrides: Overrides = None,
) -> None:
    """Search for the best settings of an agent; write every trial, and the config with the best settings."""
    from echelon.experiments.tune_command import TuneRequest, run_tune

    run_tune(TuneRequest(config, policy, problem, trials, out, overrides or []))


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="A run folder; or several, or folders of grids")],
    out: Annotated[
        Path | None, typer.Option(help="Of several runs: the page to write. Default: report.html in the first folder")
    ] = None,
) -> None:
    """Make the plots, tables and report of finished runs again: of one in its folder, of several as one comparison."""
    from echelon.experiments.report_command import report_command

    report_command(folders, out)


@app.command()
def web(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders, or folders that hold some, for the explorer of results")
    ] = None,
    policy: Annotated[
        list[Path] | None,
        typer.Option(help="The folder of a policy trained on the beer game, to play against; may be repeated."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port to listen on")] = 8080,
    host: Annotated[
        str, typer.Option(help="The address to listen on; any but this machine's own is open to others")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser")] = True,
) -> None:
    """Play the beer game, ask what if, and look at results, in the browser of this machine."""
    from echelon.experiments.web import WebRequest, serve

    serve(WebRequest(runs or [], policy or [], host, port, browser))


@app.command()
def evaluate(
    problem: Annotated[
        str, typer.Argument(help="A problem or instance, such as echelon/LostSales-v0 or zipkin2008/poisson-L4-p4")
    ],
    policy: Annotated[str, typer.Option(help="A baseline by name, or the folder of a trained policy")],
    overrides: Overrides = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Set an option of the baseline; may be repeated.")
    ] = None,
    replications: Annotated[int, typer.Option(min=2, help="Replications of the evaluation")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of tuning and evaluation")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Plan one policy for one problem and measure its cost and its gap to the reference."""
    from echelon.experiments.single import evaluate_policy

    record = evaluate_policy(
        problem, policy, parameters=_mapping(overrides), options=_mapping(option), replications=replications, seed=seed
    )
    _print_record(record, as_json)


@app.command()
def bound(
    problem: Annotated[str, typer.Argument(help="A problem or instance, such as echelon/OneWarehouse-v0")],
    overrides: Overrides = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampled scenarios")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Compute a cost that no policy can beat on one problem, and how it was proven."""
    from echelon.experiments.single import bound_problem

    _print_record(bound_problem(problem, parameters=_mapping(overrides), seed=seed), as_json)


@app.command()
def plan(
    network: Annotated[
        str,
        typer.Argument(
            help="A file of stages, as `echelon import willems --convention` writes it; a network file, of which gsm "
            "uses the times, holding costs and demand, with one period of review more at customers; a published "
            "example, such as bulldozer; a folder of a planner's tables; or, for minmax, a network file, problem or "
            "instance"
        ),
    ],
    method: Annotated[
        str,
        typer.Option(
            help="gsm: the guaranteed-service model, for any network without cycles; for a folder of tables also assp, "
            "dynamic and multistage; minmax: the parameters of a rule by simulation, with certified service"
        ),
    ],
    service: Annotated[
        float | None,
        typer.Option(
            help="One service level for all customers, such as 0.95; default: those of the file, or the "
            "critical ratios of a network file; for minmax a floor under the service, by default none"
        ),
    ] = None,
    floor: Annotated[
        list[str] | None, typer.Option(metavar="NODE=LEVEL", help="minmax: a floor at any node; may be repeated.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="minmax: rule, position, review_period, kind, bounds, start, budget or threads; may be repeated.",
        ),
    ] = None,
    overrides: Overrides = None,
    seed: Annotated[int | None, typer.Option(min=0, help="minmax: seed of the search; default: 0")] = None,
    frontier: Annotated[
        str | None,
        typer.Option(help="minmax with --out: floors to plan as well, such as 0.9,0.95, or none; default: some"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
    out: Annotated[
        Path | None, typer.Option("--csv", help="Write a row per stage to this file, which must not exist")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the network with its stock to this SVG file, which must not exist")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="For a folder of tables and minmax: write the plan and a report to this folder, which must be new",
        ),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="For a folder of tables: cut safety stock until all stock is worth this much")
    ] = None,
    within_storage: Annotated[
        bool, typer.Option("--within-storage", help="For a folder of tables: cut safety stock that does not fit")
    ] = False,
) -> None:
    """Decide where to hold stock, and how much: by gsm with a proof that no other decision costs less."""
    from echelon.experiments.plan_command import PlanRequest, run_plan

    request = PlanRequest(
        source=network,
        method=method,
        service=service,
        floors=floor or [],
        options=_mapping(option, "--option"),
        parameters=_mapping(overrides),
        seed=seed,
        frontier=frontier,
        as_json=as_json,
        csv=out,
        picture=picture,
        folder=folder,
        budget=budget,
        within_storage=within_storage,
    )
    run_plan(request)


@importing.command()
def willems(
    folder: Annotated[Path, typer.Argument(help="The folder with stages.csv and arcs.csv")],
    chain: Annotated[int, typer.Option(help="Number of the chain, 1 to 38")],
    convention: Annotated[
        str | None,
        typer.Option(
            help="canonical or moncayo: write a file of stages for `echelon plan`, read by this convention; "
            "default: write a network file, which can be simulated"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; default: willems_CHAIN.yaml")] = None,
    holding_rate: Annotated[
        float | None,
        typer.Option(
            help="Holding cost, as a share of a unit's cost; default: 0.001 in a network file, and 0.2, that of the "
            "published figures, with --convention"
        ),
    ] = None,
) -> None:
    """Import a real supply chain of Willems (2008)."""
    from echelon.envs.willems import load_willems

    out = out or Path(f"willems_{chain}.yaml")
    if convention is None:
        rate = 0.001 if holding_rate is None else holding_rate
        _write_network(load_willems(folder, chain, holding_rate=rate), out)
        return
    from echelon.baselines.willems_stages import load_willems_stages

    known = _choice("convention", convention, ("canonical", "moncayo"))
    rate = 0.2 if holding_rate is None else holding_rate
    _write_stages(load_willems_stages(folder, chain, convention=known, holding_rate=rate), out)


@importing.command()
def history(
    file: Annotated[Path, typer.Argument(help="A CSV file with the columns date, item, location, quantity")],
    out: Annotated[Path, typer.Option(help="The network file to write")] = Path("network.yaml"),
    period: Annotated[str, typer.Option(help="Length of a period: D, W or M")] = "W",
    method: Annotated[str, typer.Option(help="empirical (independent periods) or bootstrap (blocks)")] = "empirical",
    lead_time: Annotated[int, typer.Option(help="Periods from the supplier, or the warehouse, to an outlet")] = 2,
    warehouse_lead_time: Annotated[
        int | None, typer.Option(help="Periods from the supplier to a warehouse between; default: no warehouse")
    ] = None,
    holding_cost: Annotated[float, typer.Option(help="Per unit and period at an outlet")] = 1.0,
    stockout_cost: Annotated[float, typer.Option(help="Per unit short")] = 9.0,
    stockout_rule: Annotated[str, typer.Option(help="lost_sales or backorder")] = "lost_sales",
    fixed_cost: Annotated[float, typer.Option(min=0, help="Per order")] = 0.0,
    align: Annotated[int, typer.Option(min=1, help="Draw periods in phase modulo this; 7 keeps the weekdays")] = 1,
    joint: Annotated[bool, typer.Option("--joint", help="Draw the same periods at all locations of an item")] = False,
    lead_times: Annotated[
        Path | None, typer.Option(help="A CSV file with the columns item, location, ordered, received")
    ] = None,
) -> None:
    """Import a demand history: every item and location becomes an outlet with resampled demand."""
    from echelon.envs.history import history_network, load_history
    from echelon.envs.history_lead_times import load_lead_times

    chosen = _choice("period", period, ("D", "W", "M"))
    network = history_network(
        load_history(file, period=chosen),
        lead_time=lead_time,
        warehouse_lead_time=warehouse_lead_time,
        holding_cost=holding_cost,
        stockout_cost=stockout_cost,
        stockout_rule=_choice("stockout-rule", stockout_rule, ("lost_sales", "backorder")),
        method=_choice("method", method, ("empirical", "bootstrap")),
        fixed_cost=fixed_cost,
        align=align,
        joint=joint,
        lead_times=None if lead_times is None else load_lead_times(lead_times, period=chosen),
    )
    _write_network(network, out)


def _print_record(record: dict[str, Any], as_json: bool) -> None:
    """One line of JSON, or a line a key."""
    if as_json:
        print(json.dumps(record))
        return
    for key, value in record.items():
        if value is not None:
            print(f"{key:15} {value:.6g}" if isinstance(value, float) else f"{key:15} {value}")


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> Any:
    from echelon.envs.errors import ConfigError

    if value not in allowed:
        raise ConfigError([f"--{name}: must be one of {', '.join(allowed)} (got {value!r})"])
    return value


def _write_network(network: Network, out: Path) -> None:
    from echelon.experiments.whole_folder import require_new_file

    require_new_file(out, "--out")
    network.to_yaml(out)
    print(f"{out}: {len(network.nodes)} nodes, {len(network.links)} links, {len(network.outlets)} outlets")


def _write_stages(network: StageNetwork, out: Path) -> None:
    from echelon.experiments.whole_folder import require_new_file

    require_new_file(out, "--out")
    network.to_yaml(out)
    arcs = sum(len(stage.suppliers) for stage in network.stages)
    customers = sum(stage.has_customers for stage in network.stages)
    print(f"{out}: {len(network.stages)} stages, {arcs} arcs, {customers} with customers")


def _mapping(overrides: list[str] | None, option: str = "--set") -> dict[str, Any]:
    from echelon.envs.yaml_io import Document, apply_overrides

    data: dict[str, Any] = apply_overrides(Document({}, option), overrides or []).data
    return data


if __name__ == "__main__":
    main()
