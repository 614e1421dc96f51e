"""`imil study`: compare arms, controls and readers, from a plan to a report."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Cache, Group

FAILED = 1  # exit code: some jobs failed; the others are done

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
            help="paper (the paper's comparison), small (IMIL and its controls with a small "
            "network, an hour or two), quick (half an hour), shortcut (treatments of a planted "
            "shortcut), method (which treatment is best) or sweeps (grid, cases, epoch, data).",
            show_default=False,
        ),
    ],
    data: Annotated[
        str, typer.Option(help="Table or folder of images, as written into the plan.")
    ] = "films.csv",
    out: Annotated[
        Path | None, typer.Option(help="The plan's file; must be new.", show_default="NAME.toml")
    ] = None,
) -> None:
    """Write a plan to start from: a text file with comments, to be edited.

    [bold]Example[/bold]

        imil study init quick --data films.csv
    """
    with errors_as_exit_codes():
        from imil.errors import SettingsError
        from imil.study.plan_templates import init as plan_text

        path = out or Path(f"{name}.toml")
        text = plan_text(name, data)
        if path.exists():
            raise SettingsError(f"{path} already exists: give another --out")
        try:
            content = text.encode()
        except UnicodeEncodeError as error:
            raise SettingsError(f"--data {data!a} is not in UTF-8: rename it") from error
        try:
            path.write_bytes(content)
        except OSError as error:
            raise SettingsError(
                f"{path} cannot be written ({error.strerror}): give another --out"
            ) from error
        typer.echo(f"{path} is written. Check it, then run: imil study run {path}")


@study.command()
def run(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the study; new, or one to continue.", show_default="studies/PLAN"
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of trainings at the same time.",
            show_default="1; with --ray as many as the cluster allows, with --slurm 100",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads per training. The same seed gives the same numbers, bit for bit, "
            "only with the same number of threads.",
            show_default="CPUs / jobs",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Send the trainings to a Ray cluster: its address, auto, or local. All nodes "
            "must see the study's folder and the data under the same paths."
        ),
    ] = None,
    slurm: Annotated[
        str | None,
        typer.Option(
            help="Send the trainings to SLURM: a partition, or local to try it without. All nodes "
            "must see the study's folder and the data under the same paths."
        ),
    ] = None,
    slurm_minutes: Annotated[
        int,
        typer.Option(
            min=1, help="Time of a job; a training that needs longer is put back into the queue."
        ),
    ] = 240,
    cache: Cache = None,
    group: Group = False,
) -> None:
    """Train every arm with every seed on every split, then write the report.

    Stop whenever you like: the same command continues, and finished trainings are not repeated.

    [bold]Example[/bold]

        imil study run quick.toml --jobs 2
    """
    with errors_as_exit_codes():
        from imil.data.image_cache import cache_folder
        from imil.errors import SettingsError
        from imil.study.jobs.runner import StudyRun, begin, hold
        from imil.study.jobs.workers import processes, ray_cluster, threads_of
        from imil.study.plan import read_plan
        from imil.study.study_folder import StudyFolder
        from imil.terminal_console import TerminalConsole

        console = TerminalConsole()
        study_plan = read_plan(plan)
        path = (out or Path("studies") / plan.stem).absolute()
        folder, images = StudyFolder(path), cache_folder(cache).absolute()
        if ray is not None and slurm is not None:
            raise SettingsError("--ray and --slurm contradict each other: give one of them")
        options = {"jobs": jobs, "threads": threads, "ray": ray, "slurm": slurm, "cache": cache}
        if slurm is not None:
            options["slurm-minutes"] = slurm_minutes
        words = ["imil", "study", "run", str(plan), "--out", str(path)]
        for name, value in options.items():
            words += [] if value is None else [f"--{name}", str(value)]
        same_command = shlex.join(words)
        with errors_as_exit_codes(same_command), hold(folder):
            study_plan = begin(study_plan, folder, images, console)
            per_job = threads or threads_of(jobs or 1)
            session = StudyRun(folder, study_plan, images, per_job, console)
            if slurm is not None:
                from imil.study.jobs.slurm_workers import slurm_cluster

                pool = slurm_cluster(slurm, folder.slurm, per_job, jobs, slurm_minutes)
            else:
                pool = processes(jobs or 1) if ray is None else ray_cluster(ray, per_job, jobs)
            with pool as workers:
                session.run(workers)
            _report(folder.path)
        if session.failed:
            print(
                f"{len(session.failed)} jobs failed; try again with: {same_command}",
                file=sys.stderr,
            )
            raise SystemExit(FAILED)


@study.command()
def status(study: Study) -> None:
    """Show the progress of a study, also while it runs.

    [bold]Example[/bold]

        imil study status studies/quick
    """
    with errors_as_exit_codes():
        from rich.markup import escape

        from imil.study.jobs.status import failures, status_table, time_left
        from imil.study.phrases import duration
        from imil.study.plan import read_plan
        from imil.study.study_folder import StudyFolder
        from imil.terminal_console import TerminalConsole

        folder, console = StudyFolder(study), TerminalConsole()
        plan = read_plan(folder.plan)
        console.print(status_table(plan, folder))
        for entry, reason in failures(plan, folder):
            line = f"[red]Failed:[/red] {escape(entry.job.name)}: {escape(reason)}"
            console.print(line, highlight=False)
        seconds = time_left(plan, folder)
        if seconds:
            console.print(f"About {duration(seconds)} of work left.")


@study.command()
def report(study: Study) -> None:
    """Write the tables, the figures and report.html again, from the stored results.

    [bold]Example[/bold]

        imil study report studies/quick
    """
    with errors_as_exit_codes():
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
    with errors_as_exit_codes():
        from imil.study.compare import compare as compare_studies
        from imil.study.study_folder import StudyFolder
        from imil.terminal_console import TerminalConsole

        console = TerminalConsole()
        for part in compare_studies(StudyFolder(a), StudyFolder(b)):
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
    with errors_as_exit_codes():
        from imil.study.reader_sessions import session
        from imil.terminal_console import TerminalConsole

        console = TerminalConsole()
        for part in session(run):
            console.print(part)


def _report(path: Path) -> None:
    from imil.study.plan import read_plan
    from imil.study.report import write_report
    from imil.study.study_folder import StudyFolder
    from imil.terminal_console import TerminalConsole

    folder = StudyFolder(path)
    write_report(folder, read_plan(folder.plan))
    TerminalConsole().print(f"The report is {folder.report}.", markup=False, soft_wrap=True)
