"""The screens of the lesson. A new screen is a file with a `show` and an entry in `smp_lab.ui.lesson.screens`."""
