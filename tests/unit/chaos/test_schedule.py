"""A seed is a run: the same faults and the same jobs, and no kind of fault left out of a long one."""

from typing import Any

from chaos.schedule import Kind, make_schedule
from chaos.work import BURST, make_jobs

WHO: dict[str, Any] = {"controls": ["control"], "runners": ["runner", "runner-2"], "agents": ["noop", "scribe"]}


def test_a_seed_gives_the_same_faults_and_jobs_again_and_another_seed_gives_others() -> None:
    one, again, other = (make_schedule(seed, 60, 3.0, disk=True, **WHO) for seed in (7, 7, 8))
    assert one == again != other
    assert make_jobs(7, 100, 60, one) == make_jobs(7, 100, 60, again) != make_jobs(8, 100, 60, one)


def test_a_long_schedule_leaves_no_kind_out_and_freezes_past_the_lease() -> None:
    faults = make_schedule(1, 60, 3.0, disk=True, **WHO)
    assert {fault.kind for fault in faults} == set(Kind)
    assert all(fault.for_s > 3.0 for fault in faults if fault.kind in {Kind.FREEZE, Kind.LATE})


def test_without_a_disk_to_fill_none_is_filled() -> None:
    assert Kind.DISK_FULL not in {fault.kind for fault in make_schedule(1, 60, 3.0, disk=False, **WHO)}


def test_jobs_are_as_many_as_asked_for_and_come_in_bursts_before_late_commits() -> None:
    faults = make_schedule(1, 60, 3.0, disk=True, **WHO)
    jobs = make_jobs(1, 100, 60, faults)
    late = [fault for fault in faults if fault.kind is Kind.LATE]
    assert len(jobs) == len({job.number for job in jobs}) == 100
    assert all(sum(0 < fault.at_s - job.at_s < 1 for job in jobs) >= BURST for fault in late[:5])
    assert any(job.cancel_after_s for job in jobs)
    assert any(len(job.steps) > 2 for job in jobs)
