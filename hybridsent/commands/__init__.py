"""The commands of `hybridsent`, one a module: its docstring is the help, `run` takes its words."""
