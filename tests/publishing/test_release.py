"""A release is built by a job that may only read, and drafted by one that runs nothing of ours."""

import yaml
from documented_commands import ROOT


def test_the_job_that_may_write_only_takes_what_the_other_built():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    assert {name: job["permissions"] for name, job in jobs.items()} == {
        "build": {"contents": "read"},
        "release": {"contents": "write"},
    }
    commands = [step.get("run", "") for step in jobs["release"]["steps"]]
    assert {line.split()[0] for line in commands if line} == {"cd", "gh"}
    assert "checkout" not in str(jobs["release"])
    assert "--require-hashes --requirement ci.lock" in str(jobs["build"])
    assert "signed" not in text


def test_the_lock_holds_what_builds_a_release():
    names = {line.partition("==")[0] for line in (ROOT / "ci.lock").read_text().splitlines()}
    assert {"build", "cyclonedx-bom", "setuptools"} <= names
