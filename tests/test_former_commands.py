"""Commands that have another name now, and what they have left behind."""

import json
import subprocess
import sys

import pytest

from demo_city import build, photos
from tests.scripts import ROOT


@pytest.mark.parametrize("old, new", [("datasets.demo_city", "demo_city"), ("retrieval.report", "report")])
def test_former_commands_name_their_successors(old, new):
    result = subprocess.run([sys.executable, "-m", old, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"python -m {old} is now python -m {new}\n")


def test_cities_of_the_former_command_go_on(tmp_path):
    build.prepare_folder(str(tmp_path), photos.TINY)
    path = tmp_path / build.SETTINGS_FILE
    stored = json.loads(path.read_text())
    assert stored["made_by"] == "python -m demo_city"
    assert stored.pop("panoramas") is False  # which older folders do not say
    path.write_text(json.dumps({**stored, "made_by": "python -m datasets.demo_city"}))
    build.prepare_folder(str(tmp_path), photos.TINY)
