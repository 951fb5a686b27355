"""Topics of users: publishing, reading, groups, schedules, retention."""
