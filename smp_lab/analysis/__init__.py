"""From arrays and tables of a run to tidy tables: no files, no figures, no widgets."""
