"""`nas agent`: this machine as a device for jobs elsewhere."""

import typer


def agent(context: typer.Context) -> None:
    """Serve this machine as a device that jobs elsewhere measure on; `nas agent --help` lists the options."""
    from profilers.agent import main

    main(context.args)


def register(app: typer.Typer) -> None:
    """Add the command; its options are those of `python -m profilers.agent`, which works without this package."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(context_settings=settings)(agent)
