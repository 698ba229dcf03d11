"""Says each skipped test by name, in the form that the whole project uses."""


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("skipped"):
        name = report.nodeid.replace(" ", "_")
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        terminalreporter.write_line(f"SKIPPED {name}: {reason}")
