"""timm without torch's compiler: nothing that anybody finds in timm, torch or torchvision elsewhere may be missing.

What a job does without is in workflow/test_study.py.
"""

import subprocess
import sys
from pathlib import Path

import memscore

PACKAGE = Path(memscore.__file__).parents[1]


def check(code: str) -> None:
    """Run code in a Python that has imported nothing yet."""
    ran = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_torchvision_has_what_it_is_asked_for_and_torch_its_compiler():
    check("""
import torch

from memscore.networks import lean

marks = torch.compiler.disable
timm = lean.load_timm()
assert torch.compiler.disable is marks
assert lean.load_timm() is timm

import torchvision

assert not hasattr(torchvision, "nothing of the kind")
boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2.1]])
assert torchvision.ops.nms(boxes, torch.tensor([0.1, 0.2]), 0.5).tolist() == [1]
assert torchvision.models.resnet18().fc.out_features == 1000
assert torchvision.models.__spec__.loader.get_filename() == torchvision.models.__file__
from timm.layers import norm_act

assert torchvision.ops.FrozenBatchNorm2d is norm_act.FrozenBatchNorm2d
""")


def test_a_plugin_finds_all_that_torchvision_registers(tmp_path):
    (tmp_path / "plugin.py").write_text("import torch, torchvision\n\ntorch.ops.torchvision.nms\n")
    check(f"""
from memscore.networks import architectures

architectures.create("test_resnet", [{str(tmp_path / "plugin.py")!r}])
""")


def test_a_network_whose_code_is_marked_for_the_compiler_computes_the_same():
    code = """
import sys, torch
{load}
torch.manual_seed(0)
network = timm.create_model("naflexvit_base_patch16_gap", embed_dim=48, depth=1, num_heads=3, num_classes=4).eval()
with torch.inference_mode():
    print(network(torch.ones(1, 3, 64, 64)).tolist())
"""
    loads = "import timm", "from memscore.networks.lean import load_timm; timm = load_timm()"
    arguments = [[sys.executable, "-c", code.format(load=load)] for load in loads]
    plain, lean = (subprocess.run(each, cwd=PACKAGE, capture_output=True, text=True, check=True) for each in arguments)
    assert plain.stdout == lean.stdout != ""
