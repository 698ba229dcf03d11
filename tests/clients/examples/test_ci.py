"""What docs/ci.md shows, taken out of it and run: a block whose fence says `file=NAME` is that file of a project of its own,
and each language's project must pass as it stands there. Of the workflow the steps that run something are run, in their
order; those that put the program there are not, since it is the one that was built."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest
import yaml

TOP = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("ENSEMBLE_BINARY", TOP / "target/debug/ensemble"))
DOCUMENT = TOP / "docs/ci.md"
FENCE = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PUTS_IT_THERE = {"Build Ensemble"}

# The first build of what an SDK stands on takes a while on two busy cores.
WITHIN_SECONDS = 400


def project(directory, *names):
    """Writes these files of the document, and says where."""
    blocks = dict(FENCE.findall(DOCUMENT.read_text()))
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(blocks.pop(name))
    return directory


def environment(directory, **more):
    """Of a machine on which the program is installed and nothing else of ours is known; caches of packages are."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("ENSEMBLE_", "ALIBABA_CLOUD_"))}
    (directory / "bin").mkdir()
    (directory / "bin/ensemble").symlink_to(BINARY)
    path = f"{directory / 'bin'}:{pathlib.Path(sys.executable).parent}:{bare['PATH']}"
    return {**bare, "ENSEMBLE_CONFIG": os.devnull, "PATH": path, **more}


def run(command, directory, env, groups=None):
    """Runs it to its end, and returns what it said if it went well. What it leaves in the background is ended with it, or
    with the last of `groups`."""
    said = directory / "said"
    with said.open("w") as output:
        process = subprocess.Popen(command, cwd=directory, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        code = process.wait(WITHIN_SECONDS)
    finally:
        if groups is None:
            end_group(process.pid)
        else:
            groups.append(process.pid)
    assert code == 0, f"{command}: {said.read_text()}"
    return said.read_text()


def end_group(group):
    """Ends what is left of it, if there is something."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)


def needs(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")


def test_every_block_with_a_file_name_is_run_by_a_test_here():
    names = [name for name, _ in FENCE.findall(DOCUMENT.read_text())]

    assert sorted(names) == sorted(
        [
            "test_edge.py",
            "go.mod",
            "edge_test.go",
            "pom.xml",
            "src/test/java/ScaleOutTest.java",
            "with-emulator",
            ".github/workflows/edge.yml",
        ]
    )


def test_pytest(tmp_path):
    project(tmp_path, "test_edge.py")

    said = run(["python", "-m", "pytest", "-q", "test_edge.py"], tmp_path, environment(tmp_path))

    assert re.search(r"^4 passed", said, re.MULTILINE), said


def test_go(tmp_path):
    needs("go")
    project(tmp_path, "go.mod", "edge_test.go", "with-emulator")
    env = environment(tmp_path)

    run(["go", "mod", "tidy"], tmp_path, env)
    said = run(["bash", "with-emulator", "go", "test", "-count=1", "-v", "./..."], tmp_path, env)

    assert "--- PASS: TestScaleOut" in said, said


def test_java(tmp_path):
    needs("java", "mvn")
    project(tmp_path, "pom.xml", "src/test/java/ScaleOutTest.java", "with-emulator")

    said = run(["bash", "with-emulator", "mvn", "-B", "test"], tmp_path, environment(tmp_path))

    assert "Tests run: 1, Failures: 0, Errors: 0, Skipped: 0" in said, said


def test_a_ci_workflow(tmp_path):
    project(tmp_path, ".github/workflows/edge.yml", "test_edge.py")
    workflow = yaml.safe_load((tmp_path / ".github/workflows/edge.yml").read_text())
    (job,) = workflow["jobs"].values()
    steps = [step for step in job["steps"] if "run" in step and step["name"] not in PUTS_IT_THERE]
    assert len(steps) == 3
    handed_on = tmp_path / "handed-on"
    handed_on.touch()
    env = environment(tmp_path, GITHUB_ENV=str(handed_on))
    groups = []

    try:
        for step in steps:
            env |= dict(line.split("=", 1) for line in handed_on.read_text().splitlines())
            run(["bash", "-e", "-c", step["run"]], tmp_path, env, groups)
    finally:
        for group in groups:
            end_group(group)


def test_an_example_that_is_wrong_is_seen(tmp_path):
    project(tmp_path, "test_edge.py")
    example = tmp_path / "test_edge.py"
    right = example.read_text()
    assert right.count("== 4\n") == 1
    example.write_text(right.replace("== 4\n", "== 5\n"))

    with pytest.raises(AssertionError, match="1 failed, 3 passed"):
        run(["python", "-m", "pytest", "-q", "test_edge.py"], tmp_path, environment(tmp_path))
