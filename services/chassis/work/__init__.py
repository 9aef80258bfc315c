"""Work beside the calls: tasks that go on for ever, work apart in processes, questions answered in batches."""
