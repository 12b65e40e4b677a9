"""Tasks as data: see :class:`personaplug.tasks.task.Task`."""
