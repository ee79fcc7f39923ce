"""What a machine says it has."""

from concilium.contracts.limits import MIB
from concilium.contracts.nodes import Gpu
from concilium.nodes.node_end.facts import facts, read_gpus


def test_cards_are_read_from_what_nvidias_program_lists() -> None:
    listed = "NVIDIA RTX 6000 Ada, Generation, 49140\nNVIDIA \x1bH200, 143771\n[N/A], [N/A]\n\nno card\n"
    assert read_gpus(listed) == (
        Gpu(name="NVIDIA RTX 6000 Ada, Generation", vram_bytes=49140 * MIB),
        Gpu(name="NVIDIA H200", vram_bytes=143771 * MIB),
    )
    assert read_gpus("") == ()


def test_this_machine_has_a_processor_and_memory() -> None:
    found = facts(("code",))
    assert found.capabilities.cpus >= 1
    assert found.capabilities.ram_bytes > 0
    assert found.capabilities.running == ("code",)
    assert found.clock > 0
