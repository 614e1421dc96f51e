"""`imil study`: arms, controls and readers compared, from a plan to a report."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from imil.cli.errors import ending

FAILED = 1  # some jobs could not be done; the others were

study = typer.Typer(
    name="study",
    help="Compare IMIL with other methods and with controls, on the same data, and report it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Study = Annotated[Path, typer.Argument(help="The study's folder.", show_default=False)]


@study.command()
def init(
    name: Annotated[
        str,
        typer.Argument(
            help="paper (the paper's comparison), small (an hour or two with a small network) or "
            "quick (about ten minutes).",
            show_default=False,
        ),
    ],
    data: Annotated[
        str, typer.Option(help="The table or folder of images that the plan is to name.")
    ] = "films.csv",
    out: Annotated[
        Path | None, typer.Option(help="The plan's file; must be new.", show_default="NAME.toml")
    ] = None,
) -> None:
    """Write a plan to start from. It is a text file with comments: change what you like.

    [bold]Example[/bold]

        imil study init quick --data films.csv
    """
    with ending():
        from imil.errors import SettingsError
        from imil.study.templates import init as template

        path = out or Path(f"{name}.toml")
        text = template(name, data)
        if path.exists():
            raise SettingsError(f"{path} is there already: give another --out")
        path.write_text(text, encoding="utf-8")
        typer.echo(f"{path} is written. Look through it, then: imil study run {path}")


@study.command()
def run(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the study; new, or the one to go on with.", show_default="studies/PLAN"
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at the same time.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processor threads of each training. Equal seeds give equal numbers, bit for "
            "bit, only with equally many.",
            show_default="processors / jobs",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Send the trainings to a Ray cluster: its address, auto, or local. All nodes "
            "must see the study's folder under the same path."
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Where decoded images are kept.", show_default="the user's cache folder"),
    ] = None,
) -> None:
    """Train every arm with every seed on every split, then write the report.

    Stop whenever you like: the same command goes on, and nothing that is done is done again.

    [bold]Example[/bold]

        imil study run quick.toml --jobs 2
    """
    with ending():
        import platformdirs
        from rich.console import Console

        from imil.study.folder import StudyFolder
        from imil.study.plan import read_plan
        from imil.study.run import Session, begin, held
        from imil.study.workers import processes, ray_cluster, threads_of

        console = Console()
        read = read_plan(plan)
        path = (out or Path("studies") / plan.stem).absolute()
        folder = StudyFolder(path)
        where = cache or Path(os.environ.get("IMIL_CACHE") or platformdirs.user_cache_path("imil"))
        again = f"imil study run {shlex.quote(str(plan))} --out {shlex.quote(str(path))}"
        with ending(again), held(folder):
            begin(read, folder, where, console)
            each = threads or threads_of(jobs)
            session = Session(folder, read, where, each, console)
            workers = processes(jobs) if ray is None else ray_cluster(ray, each)
            with workers as submit:
                session.run(submit, jobs)
            _report(folder.path)
        if session.failed:
            print(
                f"{len(session.failed)} jobs were not done; try again with: {again}",
                file=sys.stderr,
            )
            raise SystemExit(FAILED)


@study.command()
def status(study: Study) -> None:
    """Show how far a study is, also while it runs.

    [bold]Example[/bold]

        imil study status studies/quick
    """
    with ending():
        from rich.console import Console

        from imil.study.folder import StudyFolder
        from imil.study.plan import read_plan
        from imil.study.status import failures, status_table, time_left
        from imil.study.words import duration

        folder, console = StudyFolder(study), Console()
        plan = read_plan(folder.plan)
        console.print(status_table(plan, folder))
        for entry, why in failures(plan, folder):
            console.print(f"[red]Failed:[/red] {entry.job.name}: {why}", highlight=False)
        left = time_left(plan, folder)
        if left:
            console.print(f"About {duration(left)} of work left.")


@study.command()
def report(study: Study) -> None:
    """Write the tables, the figures and report.html anew, from the stored predictions alone.

    [bold]Example[/bold]

        imil study report studies/quick
    """
    with ending():
        _report(study)


@study.command()
def compare(
    a: Annotated[Path, typer.Argument(help="A study's folder.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="Another study's folder.", show_default=False)],
) -> None:
    """Compare two studies arm by arm.

    [bold]Example[/bold]

        imil study compare studies/small studies/small-momentum
    """
    with ending():
        from rich.console import Console

        from imil.study.compare import compare as compared
        from imil.study.folder import StudyFolder

        console = Console()
        for part in compared(StudyFolder(a), StudyFolder(b)):
            console.print(part)


@study.command()
def reader(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run's folder (also a job's of a study), or its store.", show_default=False
        ),
    ],
) -> None:
    """Show a reader's session as the paper does: cases, times and reasons.

    [bold]Example[/bold]

        imil study reader runs/films-resnet18
    """
    with ending():
        from rich.console import Console

        from imil.study.sessions import session

        console = Console()
        for part in session(run):
            console.print(part)


def _report(path: Path) -> None:
    from rich.console import Console

    from imil.study.folder import StudyFolder
    from imil.study.plan import read_plan
    from imil.study.report import write_report

    folder = StudyFolder(path)
    write_report(folder, read_plan(folder.plan))
    Console().print(f"The report is {folder.report}.", soft_wrap=True)
