"""checkov's policies over every variant of the chart: `make policies`.

It has an environment of its own, because its dependencies must not meet ours, and takes a minute to install: so it is not part of
`make test`; CI runs it.
"""
