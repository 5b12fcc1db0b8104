"""From tidy tables to plotly figures: no files, no widgets. One template, one fixed colour per task and method."""
