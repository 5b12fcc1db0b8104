"""The app's router without the runs that come with the project: tests say themselves which runs there are."""

from __future__ import annotations

from smp_lab import app, paths

paths.cached_runs_folder = lambda: paths.own_runs_folder() / "no-cached-runs"
app.main()
