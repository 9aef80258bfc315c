"""The read path: followers of the log, views, reactions, and what every service must heed."""
