"""What is told about a running process: metrics, traces, logs."""
