"""`snakemake audit`, for real."""

import pandas as pd
import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.parity]


def test_audit_of_a_finished_study(finished_study, configure, run_snakemake):
    """The layer is extracted again, scored by both, and nothing else of the study runs."""
    table = pd.read_csv(finished_study / "results/layers.csv").set_index("layer")
    layer = table.index[-1]
    configure(finished_study, audit=[{"model": "tiny", "layer": layer, "benchmark": "simulated.IT"}])
    code, output = run_snakemake(finished_study, "audit", "--cores", "2", "--rerun-triggers", "mtime")
    assert code == 0, output
    assert output.count("by memscore and by Brain-Score") == 1
    assert "Brain similarity of" not in output
    audited = pd.read_csv(finished_study / "results/audit.csv").iloc[0]
    assert audited["memscore_raw"] == pytest.approx(table.loc[layer, "simulated.IT.raw"], abs=1e-6)
    assert audited["memscore_ceiling"] == pytest.approx(audited["brainscore_ceiling"], abs=1e-9)
    assert audited["memscore_raw"] == pytest.approx(audited["brainscore_raw"], abs=2e-3)
    assert audited["brainscore_seconds"] > 0
