"""Training as processes of their own: a queue, a supervisor that starts them, and what they tell. No torch.

::

    {runs}/.jobs/queue.sqlite      what was asked for, in order, with the state of each and the reason of that
    {runs}/.jobs/{number}.log      what a process printed
    {runs}/.unfinished/{run_id}/   checkpoints, snapshots and events of a run, until its record is there
"""
