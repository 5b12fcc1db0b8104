"""Files of GLUE as people have them."""

from training.test_data import QQP_BROKEN, write_task

from smp_lab.training.data import load_task_data


def test_broken_rows_above_one_percent_are_left_out_where_that_is_asked_for(tmp_path):
    glue = write_task(tmp_path, "qqp", QQP_BROKEN * 3)
    asked = load_task_data("qqp", data_folders={"glue": glue}, allow_broken=True)
    assert len(asked.train) == 3 and asked.notes[0] == "6 of 9 rows of train.tsv are broken and left out."
